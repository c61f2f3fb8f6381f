"""How often rules, bindings and flows answered, and what nobody had an answer to.

Counted after the fact, from what was stored of each contact, so that no delivery waits for a counter.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, Integer, String, bindparam, case, delete, func, select
from sqlalchemy import tuple_ as row_of

from app.core.clock import Clock
from app.core.ids import AccountId
from app.db.hot import Hot, upsert
from app.db.tx import Tx
from app.engines.replies.models import Miss, Tally

TEXT_CHARACTERS = 200
"""What is kept of a text."""
MISSES_KEPT = 5_000
"""Of an account; the rarest go, among them those not heard for longest."""
TALLIES_KEPT = timedelta(days=400)
STEP = 500
"""Rows of one deletion at most."""

Comparable: TypeAlias = Callable[[AccountId, str], str]
"""A text as the rules of an account compare it."""
_Counted: TypeAlias = tuple[int, str, int, str]
"""Account, `rule`, `binding` or `flow`, its id, and the day."""


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact of the past, as far as it is counted."""

    account_id: AccountId
    text: str
    """What was typed; empty for everything but texts."""
    why: Mapping[str, Any]
    """The trace: who answered."""
    at: datetime


@dataclass(slots=True)
class _Hits:
    hits: int
    last_at: datetime


@dataclass(slots=True)
class _Missed:
    text: str
    example: str
    times: int
    first_at: datetime
    last_at: datetime


@dataclass(slots=True)
class Sums:
    """Contacts summed up in memory, so that each row is written once."""

    hits: dict[_Counted, _Hits] = field(default_factory=dict)
    misses: dict[tuple[int, str], _Missed] = field(default_factory=dict)
    """By account and digest."""


def digest_of(text: str) -> str:
    """What a comparable text is known by."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def sum_up(
    contacts: Iterable[Contact], zones: Mapping[AccountId, ZoneInfo], comparable: Comparable
) -> Sums:
    """Pure. Contacts of accounts without a zone are left out: the account is gone."""
    sums = Sums()
    for contact in contacts:
        zone = zones.get(contact.account_id)
        if zone is None:
            continue
        day = contact.at.astimezone(zone).date().isoformat()
        for what, number in answered_by(contact.why):
            _add_hit(sums, (contact.account_id, what, number, day), contact.at)
        if contact.text and contact.why.get("missed"):
            _add_miss(sums, contact, comparable(contact.account_id, contact.text))
    return sums


def answered_by(why: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Whom a trace counts for: the rule or binding that answered, and the flow that began."""
    found = (("rule", "rule"), ("binding", "binding"), ("flow", "begins"))
    return [(what, int(why[name])) for what, name in found if _is_id(why.get(name))]


def _is_id(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19


def _add_hit(sums: Sums, counted: _Counted, at: datetime) -> None:
    known = sums.hits.get(counted)
    if known is None:
        sums.hits[counted] = _Hits(1, at)
    else:
        known.hits += 1
        known.last_at = max(known.last_at, at)


def _add_miss(sums: Sums, contact: Contact, text: str) -> None:
    if not text:
        return
    place = (contact.account_id, digest_of(text))
    known = sums.misses.get(place)
    if known is None:
        shown = (text[:TEXT_CHARACTERS], contact.text.strip()[:TEXT_CHARACTERS])
        sums.misses[place] = _Missed(*shown, 1, contact.at, contact.at)
        return
    known.times += 1
    known.first_at = min(known.first_at, contact.at)
    if contact.at >= known.last_at:
        known.last_at = contact.at
        known.example = contact.text.strip()[:TEXT_CHARACTERS]


# --- rows -----------------------------------------------------------------------------------------


def _given(table: Any, *names: str) -> dict[str, Any]:
    return {name: bindparam(name, type_=table.__table__.c[name].type) for name in names}


def _tally(dialect: str) -> Any:
    names = ("account_id", "what", "target_id", "day", "hits", "last_at")
    statement = upsert(dialect, Tally).values(_given(Tally, *names))
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=[Tally.account_id, Tally.what, Tally.target_id, Tally.day],
        set_={"hits": Tally.hits + new.hits, "last_at": _later(new.last_at, Tally.last_at)},
    )


def _miss(dialect: str) -> Any:
    names = ("account_id", "digest", "text", "example", "times", "first_at", "last_at")
    statement = upsert(dialect, Miss).values(_given(Miss, *names))
    new = statement.excluded
    newer = new.last_at >= Miss.last_at
    return statement.on_conflict_do_update(
        index_elements=[Miss.account_id, Miss.digest],
        set_={
            "times": Miss.times + new.times,
            "example": case((newer, new.example), else_=Miss.example),
            "last_at": _later(new.last_at, Miss.last_at),
        },
    )


def _later(one: Any, other: Any) -> Any:
    return case((one > other, one), else_=other)


_ADD_TALLY = Hot(_tally, distinct=True)
_ADD_MISS = Hot(_miss, distinct=True)
_COUNT = Hot(
    select(func.count()).where(Miss.account_id == bindparam("account", type_=BigInteger()))
)
_RAREST = (
    select(Miss.digest)
    .where(Miss.account_id == bindparam("account", type_=BigInteger()))
    .order_by(Miss.dismissed_at.is_not(None), Miss.times, Miss.last_at, Miss.digest)
    .limit(bindparam("surplus", type_=Integer()))
)
_TRIM = Hot(
    delete(Miss).where(
        Miss.account_id == bindparam("account", type_=BigInteger()),
        Miss.digest.in_(_RAREST.scalar_subquery()),
    )
)
_KEY = (Tally.account_id, Tally.what, Tally.target_id, Tally.day)
_PRUNE = Hot(
    delete(Tally).where(
        row_of(*_KEY).in_(
            select(*_KEY)
            .where(Tally.day < bindparam("day_", type_=String()))
            .order_by(Tally.day)
            .limit(bindparam("step", type_=Integer()))
        )
    )
)


class Tallies:
    """Writes the counts. Whoever calls sees to it that each contact is counted once."""

    def __init__(self, clock: Clock, comparable: Comparable) -> None:
        self._clock = clock
        self._comparable = comparable

    async def count(
        self, tx: Tx, contacts: Sequence[Contact], zones: Mapping[AccountId, ZoneInfo]
    ) -> None:
        """Adds these contacts, set-wise; rows in order of their keys, as everybody locks them."""
        sums = sum_up(contacts, zones, self._comparable)
        await tx.many(_ADD_TALLY, [_tally_row(key, sums.hits[key]) for key in sorted(sums.hits)])
        await tx.many(_ADD_MISS, [_miss_row(key, sums.misses[key]) for key in sorted(sums.misses)])

    async def trim_misses(self, tx: Tx, account_id: AccountId) -> int:
        """Deletes up to `STEP` of the texts beyond `MISSES_KEPT`: the rarest first, then those not
        heard for longest; what staff dismissed goes last, since it would come back as new."""
        surplus = await tx.value(_COUNT, {"account": account_id}) - MISSES_KEPT
        if surplus <= 0:
            return 0
        return await tx.run(_TRIM, {"account": account_id, "surplus": min(surplus, STEP)})

    async def prune(self, tx: Tx) -> int:
        """Deletes up to `STEP` counts of days longer ago than `TALLIES_KEPT`."""
        oldest = (self._clock.now() - TALLIES_KEPT).date().isoformat()
        return await tx.run(_PRUNE, {"day_": oldest, "step": STEP})


def _tally_row(key: _Counted, found: _Hits) -> dict[str, Any]:
    account, what, target, day = key
    return {
        "account_id": account,
        "what": what,
        "target_id": target,
        "day": day,
        "hits": found.hits,
        "last_at": found.last_at,
    }


def _miss_row(key: tuple[int, str], found: _Missed) -> dict[str, Any]:
    account, digest = key
    return {
        "account_id": account,
        "digest": digest,
        "text": found.text,
        "example": found.example,
        "times": found.times,
        "first_at": found.first_at,
        "last_at": found.last_at,
    }
