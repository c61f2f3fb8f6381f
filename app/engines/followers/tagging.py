"""Tags put on followers and taken off, set-wise.

The caller holds the followers' locks, so nobody else changes their tags meanwhile.
"""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from sqlalchemy import bindparam, delete, select

from app.core.clock import Clock
from app.core.ids import FollowerId, Ids
from app.db.base import Utc
from app.db.hot import Hot, InList, upsert
from app.db.tx import Tx
from app.engines.followers.models import Follower, FollowerTag, Tag

Wanted: TypeAlias = tuple[FollowerId, str, str]
"""Follower, name of the tag, and the key of the delivery or request that asks."""
_Named: TypeAlias = tuple[int, str]
"""Account id and the tag's name."""

_ACCOUNTS = Hot(select(Follower.id, Follower.account_id).where(InList(Follower.id, "followers")))
_TAGS = Hot(
    select(Tag.account_id, Tag.name, Tag.id).where(
        InList(Tag.account_id, "accounts"), InList(Tag.name, "names")
    )
)
_ADD_TAG = Hot(
    lambda dialect: (
        upsert(dialect, Tag)
        .values(
            id=bindparam("id"),
            account_id=bindparam("account_id"),
            name=bindparam("name"),
            created_at=bindparam("created_at", type_=Utc()),
        )
        .on_conflict_do_nothing(index_elements=[Tag.account_id, Tag.name])
    )
)
_HAD = Hot(
    select(FollowerTag.follower_id, FollowerTag.tag_id).where(
        InList(FollowerTag.follower_id, "followers"), InList(FollowerTag.tag_id, "tags")
    )
)
_ADD = Hot(
    lambda dialect: (
        upsert(dialect, FollowerTag)
        .values(
            follower_id=bindparam("follower_id"),
            tag_id=bindparam("tag_id"),
            account_id=bindparam("account_id"),
            source_key=bindparam("source_key"),
            created_at=bindparam("created_at", type_=Utc()),
        )
        .on_conflict_do_nothing(index_elements=[FollowerTag.follower_id, FollowerTag.tag_id])
    )
)
_REMOVE = Hot(
    delete(FollowerTag).where(
        FollowerTag.follower_id == bindparam("follower_id"),
        FollowerTag.tag_id == bindparam("tag_id"),
    )
)


class Tagging:
    def __init__(self, ids: Ids, clock: Clock) -> None:
        self._ids = ids
        self._clock = clock

    async def add_many(self, tx: Tx, wanted: Sequence[Wanted]) -> list[bool]:
        """Puts tags on; whether each is new there, in the order asked. Unknown tags are made.

        A follower who does not exist gets none.
        """
        accounts = await _accounts(tx, (follower for follower, _, _ in wanted))
        names = {(accounts[f], name) for f, name, _ in wanted if f in accounts}
        tags = await self._made(tx, names)
        rows: dict[tuple[int, int], dict[str, object]] = {}
        had = await _had(tx, accounts, tags)
        added: list[bool] = []
        for follower, name, key in wanted:
            account = accounts.get(follower)
            pair = (follower, tags[account, name]) if account is not None else None
            new = pair is not None and pair not in had
            added.append(new)
            if pair is not None and new:
                had.add(pair)
                rows[pair] = {
                    "follower_id": follower,
                    "tag_id": pair[1],
                    "account_id": account,
                    "source_key": key,
                    "created_at": self._clock.now(),
                }
        await tx.many(_ADD, [rows[pair] for pair in sorted(rows)])
        return added

    async def remove_many(self, tx: Tx, wanted: Sequence[tuple[FollowerId, str]]) -> list[bool]:
        """Takes tags off; whether each was there, in the order asked."""
        accounts = await _accounts(tx, (follower for follower, _ in wanted))
        tags = await _tags(tx, {(accounts[f], name) for f, name in wanted if f in accounts})
        had = await _had(tx, accounts, tags)
        gone: list[dict[str, object]] = []
        removed: list[bool] = []
        for follower, name in wanted:
            pair = (follower, tags.get((accounts.get(follower, 0), name), 0))
            removed.append(pair in had)
            if pair in had:
                had.discard(pair)
                gone.append({"follower_id": pair[0], "tag_id": pair[1]})
        await tx.many(_REMOVE, gone)
        return removed

    async def _made(self, tx: Tx, names: set[_Named]) -> dict[_Named, int]:
        """The ids of these tags. Made in one order by everybody, so that two makers never wait for
        each other in a circle."""
        tags = await _tags(tx, names)
        missing = sorted(names - tags.keys())
        if not missing:
            return tags
        now = self._clock.now()
        await tx.many(
            _ADD_TAG,
            [
                {"id": self._ids.new(), "account_id": account, "name": name, "created_at": now}
                for account, name in missing
            ],
        )
        return await _tags(tx, names)


async def _accounts(tx: Tx, followers: Iterable[FollowerId]) -> dict[FollowerId, int]:
    rows = await tx.all(_ACCOUNTS, {"followers": sorted(set(followers))})
    return {FollowerId(follower): account for follower, account in rows}


async def _tags(tx: Tx, names: set[_Named]) -> dict[_Named, int]:
    if not names:
        return {}
    rows = await tx.all(
        _TAGS,
        {
            "accounts": sorted({account for account, _ in names}),
            "names": sorted({name for _, name in names}),
        },
    )
    return {(account, name): tag for account, name, tag in rows}


async def _had(
    tx: Tx, accounts: dict[FollowerId, int], tags: dict[_Named, int]
) -> set[tuple[int, int]]:
    """Which of these followers have which of these tags."""
    if not tags:
        return set()
    rows = await tx.all(_HAD, {"followers": sorted(accounts), "tags": sorted(set(tags.values()))})
    return {(follower, tag) for follower, tag in rows}
