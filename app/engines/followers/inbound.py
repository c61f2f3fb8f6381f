"""Followers as deliveries see them: locked, made on first contact, follows and unfollows noted.

Set-wise, for the batches of `conversation.intake`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from sqlalchemy import bindparam, select, update

from app.core.ids import FollowerId, Ids
from app.core.incoming import Incoming, Kind
from app.db.base import Utc
from app.db.hot import Hot, InList, hot_insert, upsert
from app.db.tx import Tx
from app.engines.followers.models import CODE_CHARACTERS, FollowerProfile, FollowHistory
from app.engines.followers.models import Follower as Row

Who: TypeAlias = tuple[int, str]
"""Account id and openid."""
SEEN_EVERY = timedelta(hours=1)
"""How far the follower's row may lie behind the last contact. Chats come in bursts, and each write
of a row is a page of its own in the log: a sixth of a batch's."""


@dataclass(frozen=True, slots=True)
class Locked:
    id: FollowerId
    new: bool
    subscribed: bool | None
    subscribed_on: int | None
    held: int
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Contact:
    """One delivery of a locked follower, after its receipt was found to be new."""

    account_id: int
    follower: Locked
    incoming: Incoming
    wx_created_at: int
    at: datetime


_COLUMNS = (
    Row.id,
    Row.account_id,
    Row.openid,
    Row.subscribed,
    Row.subscribed_on,
    Row.held,
    Row.seen_at,
)
_LOCK = Hot(
    select(*_COLUMNS)
    .where(InList(Row.account_id, "accounts"), InList(Row.openid, "openids"))
    .order_by(Row.id)
    .with_for_update(skip_locked=True)
)
_ADD = Hot(
    lambda dialect: (
        upsert(dialect, Row)
        .values(
            id=bindparam("id"),
            account_id=bindparam("account_id"),
            openid=bindparam("openid"),
            subscribed=None,
            subscribed_on=None,
            held=0,
            person_id=None,
            seen_at=bindparam("seen_at", type_=Utc()),
        )
        .on_conflict_do_nothing(index_elements=[Row.account_id, Row.openid])
    ),
    distinct=True,
)
_SEEN = Hot(
    update(Row).where(Row.id == bindparam("follower")).values(seen_at=bindparam("at", type_=Utc())),
    distinct=True,
)
_FOLLOWS = Hot(
    update(Row)
    .where(Row.id == bindparam("follower"))
    .values(
        subscribed=bindparam("now_subscribed", type_=Row.subscribed.type),
        subscribed_on=bindparam("now_on", type_=Row.subscribed_on.type),
        seen_at=bindparam("at", type_=Utc()),
    ),
    distinct=True,
)
_HISTORY = hot_insert(
    FollowHistory,
    "id",
    "account_id",
    "follower_id",
    "change",
    "scene",
    "code",
    "wx_created_at",
    "at",
)
_PROFILE = Hot(
    lambda dialect: (
        upsert(dialect, FollowerProfile)
        .values(
            follower_id=bindparam("follower_id"),
            account_id=bindparam("account_id"),
            first_scene=bindparam("scene"),
            first_code=bindparam("code"),
            first_followed_at=bindparam("at", type_=Utc()),
            updated_at=bindparam("at2", type_=Utc()),
        )
        .on_conflict_do_nothing(index_elements=[FollowerProfile.follower_id])
    ),
    distinct=True,
)


class Inbound:
    def __init__(self, ids: Ids) -> None:
        self._ids = ids

    async def lock(self, tx: Tx, wanted: Sequence[Who], at: datetime) -> dict[Who, Locked]:
        """Locks each follower until the end of `tx`, making those never seen.

        One that another transaction holds is left out: whoever waited for it here would hold up
        the whole batch.
        """
        found = await self._take(tx, wanted, frozenset())
        missing = sorted(set(wanted) - found.keys())
        if missing:
            made = {who: self._ids.new() for who in missing}
            await tx.many(
                _ADD,
                [
                    {"id": made[who], "account_id": who[0], "openid": who[1], "seen_at": at}
                    for who in missing
                ],
            )
            found |= await self._take(tx, missing, frozenset(made.values()))
        return found

    async def _take(self, tx: Tx, wanted: Sequence[Who], made: frozenset[int]) -> dict[Who, Locked]:
        rows = await tx.all(
            _LOCK,
            {
                "accounts": sorted({account for account, _ in wanted}),
                "openids": sorted({openid for _, openid in wanted}),
            },
        )
        return {
            (account_id, openid): Locked(
                FollowerId(follower_id),
                follower_id in made,
                None if subscribed is None else bool(subscribed),
                subscribed_on,
                held,
                seen_at,
            )
            for follower_id, account_id, openid, subscribed, subscribed_on, held, seen_at in rows
        }

    async def note(self, tx: Tx, contacts: Sequence[Contact]) -> None:
        """Last contact (to the hour), follows and unfollows of deliveries that are new."""
        changes = [c for c in contacts if c.incoming.kind in (Kind.FOLLOW, Kind.UNFOLLOW)]
        long_unseen = [
            c
            for c in contacts
            if c.at - c.follower.seen_at >= SEEN_EVERY
            and c.incoming.kind not in (Kind.FOLLOW, Kind.UNFOLLOW)
        ]
        await tx.put(_SEEN, [{"follower": c.follower.id, "at": c.at} for c in long_unseen])
        if not changes:
            return
        await tx.put(_FOLLOWS, [_follow_update(c) for c in changes])
        await tx.put(_HISTORY, [self._history(c) for c in changes])
        await tx.put(_PROFILE, [_first(c) for c in changes if c.incoming.kind is Kind.FOLLOW])

    def _history(self, contact: Contact) -> dict[str, object]:
        if contact.incoming.kind is Kind.UNFOLLOW:
            change = "unfollow"
        else:
            change = "follow" if contact.follower.subscribed is None else "return"
        scene, code = _origin(contact.incoming)
        return {
            "id": self._ids.new(),
            "account_id": contact.account_id,
            "follower_id": contact.follower.id,
            "change": change,
            "scene": scene,
            "code": code,
            "wx_created_at": contact.wx_created_at,
            "at": contact.at,
        }


def _follow_update(contact: Contact) -> dict[str, object]:
    """The newer CreateTime wins, and of two in the same second the one that arrived later."""
    follower = contact.follower
    newest = follower.subscribed_on is None or contact.wx_created_at >= follower.subscribed_on
    follows = contact.incoming.kind is Kind.FOLLOW
    return {
        "follower": follower.id,
        "now_subscribed": follows if newest else follower.subscribed,
        "now_on": contact.wx_created_at if newest else follower.subscribed_on,
        "at": contact.at,
    }


def _origin(incoming: Incoming) -> tuple[str | None, str | None]:
    """Scene and code of a follow, as `FollowHistory` keeps them; nothing of what was not told.

    Codes of the platform are far shorter than the column, but PostgreSQL would refuse a longer one.
    """
    product = incoming.data.get("product", {})
    for scene, code in (
        ("qrcode", incoming.key),
        ("payment", incoming.data.get("payment", "")),
        ("product", product.get("code", "")),
    ):
        if code:
            return scene, str(code)[:CODE_CHARACTERS]
    return None, None


def _first(contact: Contact) -> dict[str, object]:
    scene, code = _origin(contact.incoming)
    return {
        "follower_id": contact.follower.id,
        "account_id": contact.account_id,
        "scene": scene,
        "code": code,
        "at": contact.at,
        "at2": contact.at,
    }
