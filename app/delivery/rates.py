"""Token buckets in `rate`, shared by all processes. A name without a row is not limited."""

import math

from sqlalchemy import BigInteger, Float, String, bindparam, select, update

from app.db.hot import Hot, upsert
from app.db.tx import Tx
from app.delivery.models import Rate

_READ = (
    select(Rate.tokens, Rate.at, Rate.per_s, Rate.burst)
    .where(Rate.name == bindparam("name_", type_=String()))
    .with_for_update()
)
_SPEND = Hot(
    update(Rate)
    .where(Rate.name == bindparam("name_", type_=String()))
    .values(tokens=bindparam("left", type_=Float()), at=bindparam("now_", type_=BigInteger()))
)


async def take(tx: Tx, name: str, now: int, wanted: int = 1) -> tuple[int, int]:
    """Takes up to `wanted` tokens; how many were taken, and how long until the next one, both at
    `now` (milliseconds). The wait is 0 where nothing was refused.

    The bucket's row stays locked until the transaction ends, so keep what follows short.
    """
    row = await tx.first(_READ, {"name_": name})
    if row is None:
        return wanted, 0
    tokens, at, per_s, burst = row
    if now < at:  # stopped, or written by a clock ahead of ours
        return 0, at - now
    if per_s <= 0:  # only ever a stop, and that is over
        return wanted, 0
    tokens = min(burst, tokens + (now - at) * per_s / 1000)
    taken = min(wanted, int(tokens))
    left = tokens - taken
    await tx.run(_SPEND, {"name_": name, "left": left, "now_": now})
    wait = 0 if taken == wanted else math.ceil((1 - left) * 1000 / per_s)
    return taken, wait


async def limit(tx: Tx, name: str, *, per_s: float, burst: float, now: int) -> None:
    """Sets a bucket: `per_s` tokens a second, at most `burst` at once; it starts full."""
    row = {"tokens": burst, "at": now, "per_s": per_s, "burst": burst}
    await tx.run(
        upsert(tx.dialect, Rate)
        .values(name=name, **row)
        .on_conflict_do_update(index_elements=[Rate.name], set_=row)
    )


async def stop(tx: Tx, name: str, until: int) -> None:
    """Nothing is given before `until` (milliseconds); a limit that was set goes on after it."""
    await tx.run(
        upsert(tx.dialect, Rate)
        .values(name=name, tokens=0.0, at=until, per_s=0.0, burst=0.0)
        .on_conflict_do_update(index_elements=[Rate.name], set_={"tokens": 0.0, "at": until})
    )


async def stopped_until(tx: Tx, name: str, now: int) -> int | None:
    """The moment (milliseconds) the bucket gives again, when it gives nothing now; takes nothing."""
    row = await tx.first(_PEEK, {"name_": name})
    return row[0] if row is not None and row[0] > now else None


_PEEK = Hot(select(Rate.at).where(Rate.name == bindparam("name_", type_=String())))
