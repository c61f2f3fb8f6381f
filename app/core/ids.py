"""63-bit ids that rise with time: 41 bits of milliseconds, 10 of slot, 12 of sequence."""

import threading
from datetime import UTC, datetime
from typing import NewType

from app.core.clock import Clock, to_millis
from app.core.errors import Unavailable

AccountId = NewType("AccountId", int)
FollowerId = NewType("FollowerId", int)
ConversationId = NewType("ConversationId", int)
MessageId = NewType("MessageId", int)

EPOCH_MS = to_millis(datetime(2025, 1, 1, tzinfo=UTC))
SLOTS = 1024
_SEQUENCES = 4096
_TIME_SHIFT = 22
"""Bits below the milliseconds."""
_PATIENCE_MS = 2000
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford: nothing that looks like another


class ClockWentBack(Unavailable):
    """The machine's clock is more than two seconds behind an id already given out."""

    code = "CLOCK_WENT_BACK"
    zh = "服务器时钟回拨 {behind_ms} 毫秒，请检查时间同步"
    en = "The server clock went back by {behind_ms} ms; check its time synchronisation"


class SlotLost(Unavailable):
    """The lease on this process's slot was not renewed in time."""

    code = "SLOT_LOST"


class Ids:
    """Hands out ids; safe to call from any thread.

    Ids go by real time, which no demo moves. No two processes share a `slot` (leased by `db.slots`,
    up to `good_until`). While the clock is up to two seconds behind, ids go on from the last moment
    seen; beyond that `ClockWentBack` is raised.
    """

    def __init__(self, clock: Clock, slot: int) -> None:
        if not 0 <= slot < SLOTS:
            raise ValueError(f"slot {slot} is not within 0..{SLOTS - 1}")
        self.slot = slot
        self.good_until: int | None = None
        """Milliseconds; after this moment the slot may be another's and `SlotLost` is raised."""
        self._clock = clock
        self._lock = threading.Lock()
        self._last_ms = 0
        self._sequence = 0

    def new(self) -> int:
        with self._lock:
            now_ms = to_millis(self._clock.real()) - EPOCH_MS
            if self.good_until is not None and now_ms + EPOCH_MS > self.good_until:
                raise SlotLost
            if now_ms > self._last_ms:
                self._last_ms, self._sequence = now_ms, 0
            elif self._last_ms - now_ms > _PATIENCE_MS:
                raise ClockWentBack(behind_ms=self._last_ms - now_ms)
            else:
                self._sequence += 1
                if self._sequence == _SEQUENCES:  # borrow from the next millisecond
                    self._last_ms, self._sequence = self._last_ms + 1, 0
            return (self._last_ms << _TIME_SHIFT) | (self.slot << 12) | self._sequence


def moment_of(identifier: int) -> datetime:
    """When an id was made, to the millisecond."""
    return datetime.fromtimestamp(((identifier >> _TIME_SHIFT) + EPOCH_MS) / 1000, UTC)


def first_id(moment: datetime) -> int:
    """The least id that can be made at this moment or later; a border between ids by time."""
    return max(0, to_millis(moment) - EPOCH_MS) << _TIME_SHIFT


def short_code(identifier: int) -> str:
    """A code people can read out: the id in 32 unmistakable letters and digits."""
    out = ""
    while identifier:
        identifier, rest = divmod(identifier, 32)
        out = _ALPHABET[rest] + out
    return out or "0"
