"""What may be sent to a follower now, and why not. Plain rules; engine reference A6.

The platform lets an account write only after the follower did something, so many times and so long
(protocol reference 4.3). Grants are not added together: the one that ends first is spent first.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from app.core.decisions import WindowView
from app.core.incoming import Grant

QUOTAS: Mapping[Grant, tuple[int, timedelta]] = MappingProxyType(
    {
        Grant.MESSAGE: (5, timedelta(hours=48)),
        Grant.MENU: (3, timedelta(minutes=1)),
        Grant.SUBSCRIBE: (3, timedelta(minutes=1)),
        Grant.SCAN: (3, timedelta(minutes=1)),
    }
)
"""Sends and lifetime of each grant."""

STILL_FRESH = timedelta(minutes=5)
"""An unused grant of two days that is younger is left as it is when the follower writes again: ours
then ends up to five minutes before the platform's, and a lively chat writes no row per message."""

BOT_RESERVE = 2
"""Sends of the message bucket that automatic messages leave to people."""


@dataclass(frozen=True, slots=True)
class WindowRow:
    """A stored grant."""

    bucket: str
    source_key: str
    granted_at: datetime
    expires_at: datetime
    quota: int
    used: int
    used_by_bot: int = 0

    def left(self, *, automatic: bool = False, reserve: int = BOT_RESERVE) -> int:
        """Sends left in it for a person, or for the bot when `automatic`."""
        kept = reserve_of(self.bucket, automatic=automatic, reserve=reserve)
        return max(0, self.quota - kept - self.used)


@dataclass(frozen=True, slots=True)
class WhyNot:
    """Why nothing may be sent, in a code for programs and words for people."""

    code: str
    zh: str
    en: str


NEVER_WROTE = WhyNot(
    "NO_WINDOW",
    "粉丝最近没有互动，公众号不能主动发消息；可以请对方先发一条消息",
    "The follower has not been in touch lately, so nothing may be sent; ask them to write first",
)
WINDOW_OVER = WhyNot(
    "WINDOW_OVER",
    "可发送的时间已过；等对方再发消息或点菜单后才能回复",
    "The time to send is over; it opens again when the follower writes or taps a menu",
)
QUOTA_USED = WhyNot(
    "QUOTA_USED",
    "本次可发送的条数已用完；等对方再发消息后才能继续",
    "All messages of this contact are used up; more may be sent after the follower writes again",
)
KEPT_FOR_PEOPLE = WhyNot(
    "KEPT_FOR_PEOPLE",
    "剩下的条数留给人工客服，自动消息不能使用",
    "The messages left are kept for human agents; automatic ones may not use them",
)


def reserve_of(bucket: str, *, automatic: bool, reserve: int = BOT_RESERVE) -> int:
    """How many sends of a bucket a message must leave: only automatic ones, only in `message`."""
    return reserve if automatic and bucket == Grant.MESSAGE else 0


def is_fresh(row: WindowRow, at: datetime) -> bool:
    """Whether a contact at `at` would open nothing that this grant does not already give."""
    quota, life = QUOTAS[Grant(row.bucket)]
    return (
        row.used == 0
        and row.quota == quota
        and life > STILL_FRESH
        and row.granted_at <= at < row.granted_at + STILL_FRESH
        and row.expires_at == row.granted_at + life
    )


def live(rows: Iterable[WindowRow], now: datetime) -> tuple[WindowView, ...]:
    """Grants that have not ended, the one that ends first leading."""
    found = sorted((row for row in rows if row.expires_at > now), key=_order)
    return tuple(WindowView(row.bucket, row.left(), row.expires_at) for row in found)


def choose(
    rows: Iterable[WindowRow], now: datetime, automatic: bool, reserve: int = BOT_RESERVE
) -> str | None:
    """The bucket to charge: of those with sends left, the one that ends first; None if there is none."""
    fit = [
        row
        for row in rows
        if row.expires_at > now and row.left(automatic=automatic, reserve=reserve) > 0
    ]
    return min(fit, key=_order).bucket if fit else None


def why_not(
    rows: Iterable[WindowRow], now: datetime, automatic: bool, reserve: int = BOT_RESERVE
) -> WhyNot | None:
    """Why `choose` finds nothing; None when it finds something."""
    known = list(rows)
    if choose(known, now, automatic, reserve) is not None:
        return None
    open_now = [row for row in known if row.expires_at > now]
    if not known:
        return NEVER_WROTE
    if not open_now:
        return WINDOW_OVER
    return KEPT_FOR_PEOPLE if any(row.left() for row in open_now) else QUOTA_USED


def _order(row: WindowRow) -> tuple[datetime, str]:
    return row.expires_at, row.bucket
