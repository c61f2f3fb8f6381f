"""Send windows in SQL, set-wise. Followers are locked before; charges are guarded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, SmallInteger, String, bindparam, literal_column, select, update

from app.core.incoming import Grant
from app.db.base import Utc
from app.db.hot import Hot, InList, Row, upsert
from app.db.tx import Query, Tx
from app.delivery.models import SendWindow
from app.delivery.window import BOT_RESERVE, QUOTAS, WindowRow, reserve_of


@dataclass(frozen=True, slots=True)
class GrantRow:
    """A contact of the follower that opens a window."""

    account_id: int
    follower_id: int
    bucket: Grant
    source_key: str
    """The delivery it came with."""
    at: datetime


_COLUMNS = SendWindow.__table__.c
_FRESH = ("source_key", "granted_at", "expires_at", "quota", "used", "used_by_bot")


def _grant(dialect: str) -> Any:
    names = ("account_id", "follower_id", "bucket", *_FRESH)
    statement = upsert(dialect, SendWindow).values(
        {c: bindparam(c, type_=_COLUMNS[c].type) for c in names}
    )
    return statement.on_conflict_do_update(
        index_elements=["follower_id", "bucket", "account_id"],
        set_={c: statement.excluded[c] for c in _FRESH},
    )


_GRANT = Hot(_grant, distinct=True)
_READ = Hot(
    select(
        SendWindow.follower_id,
        SendWindow.bucket,
        SendWindow.source_key,
        SendWindow.granted_at,
        SendWindow.expires_at,
        SendWindow.quota,
        SendWindow.used,
        SendWindow.used_by_bot,
    ).where(InList(SendWindow.follower_id, "followers"))
)
_OF_BUCKET = (
    SendWindow.follower_id == bindparam("follower", type_=BigInteger()),
    SendWindow.bucket == bindparam("in_bucket", type_=String()),
)
_BOT = bindparam("bot", type_=SmallInteger())
_CHARGE = Hot(
    update(SendWindow)
    .where(
        *_OF_BUCKET,
        SendWindow.expires_at > bindparam("now_", type_=Utc()),
        SendWindow.used < SendWindow.quota - bindparam("kept", type_=SmallInteger()),
    )
    .values(
        used=SendWindow.used + literal_column("1", SmallInteger),
        used_by_bot=SendWindow.used_by_bot + _BOT,
    )
)
_REFUND = Hot(
    update(SendWindow)
    .where(
        *_OF_BUCKET,
        SendWindow.source_key == bindparam("source", type_=String()),
        SendWindow.used > literal_column("0"),
    )
    .values(
        used=SendWindow.used - literal_column("1", SmallInteger),
        used_by_bot=SendWindow.used_by_bot - _BOT,
    )
)
_EXHAUST = Hot(
    update(SendWindow)
    .where(*_OF_BUCKET, SendWindow.source_key == bindparam("source", type_=String()))
    .values(used=SendWindow.quota)
)
_EXPIRE = Hot(
    update(SendWindow)
    .where(
        SendWindow.follower_id == bindparam("follower", type_=BigInteger()),
        SendWindow.granted_at <= bindparam("at", type_=Utc()),
        SendWindow.expires_at > bindparam("at", type_=Utc()),
    )
    .values(expires_at=bindparam("at", type_=Utc()))
)


async def grant(tx: Tx, grants: Sequence[GrantRow]) -> None:
    """Opens windows: each replaces its bucket, with a fresh quota and expiry and nothing used."""
    rows = []
    for new in sorted(grants, key=lambda g: (g.follower_id, g.bucket)):
        quota, life = QUOTAS[new.bucket]
        rows.append(
            {
                "account_id": new.account_id,
                "follower_id": new.follower_id,
                "bucket": str(new.bucket),
                "source_key": new.source_key,
                "granted_at": new.at,
                "expires_at": new.at + life,
                "quota": quota,
                "used": 0,
                "used_by_bot": 0,
            }
        )
    await tx.put(_GRANT, rows)


def windows_of(follower_ids: Sequence[int]) -> Query[dict[int, list[WindowRow]]]:
    """All stored grants, ended ones too, of each follower that has any."""
    return Query(_READ, {"followers": list(follower_ids)}, _by_follower)


def _by_follower(rows: Sequence[Row]) -> dict[int, list[WindowRow]]:
    found: dict[int, list[WindowRow]] = {}
    for follower_id, *fields in rows:
        found.setdefault(follower_id, []).append(WindowRow(*fields))
    return found


async def charge(
    tx: Tx,
    follower_id: int,
    bucket: str,
    now: datetime,
    automatic: bool,
    reserve: int = BOT_RESERVE,
) -> bool:
    """Takes one send; false when the grant is over, used up, or what is left is kept for people."""
    params = {
        "follower": follower_id,
        "in_bucket": bucket,
        "now_": now,
        "kept": reserve_of(bucket, automatic=automatic, reserve=reserve),
        "bot": int(automatic),
    }
    return await tx.run(_CHARGE, params) > 0


async def refund(
    tx: Tx, follower_id: int, bucket: str, source_key: str, *, automatic: bool
) -> None:
    """Gives a send back that the platform certainly did not make, if its grant still stands."""
    params = {
        "follower": follower_id,
        "in_bucket": bucket,
        "source": source_key,
        "bot": int(automatic),
    }
    await tx.run(_REFUND, params)


async def exhaust(tx: Tx, follower_id: int, bucket: str, source_key: str) -> None:
    """The platform says that the allowance of this grant is used up (45047), whatever we counted."""
    await tx.run(_EXHAUST, {"follower": follower_id, "in_bucket": bucket, "source": source_key})


async def expire(tx: Tx, follower_id: int, at: datetime) -> None:
    """The platform said at `at` that no window is open (45015): ends the grants given until then."""
    await tx.run(_EXPIRE, {"follower": follower_id, "at": at})
