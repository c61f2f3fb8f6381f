"""Time comes from here, so that tests and the demo can move it."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The present moment, aware, in UTC, with microseconds."""
        ...

    def real(self) -> datetime:
        """The same, however far the demo has moved `now`: what others sign with, what leases last by."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards; for measuring how long something took."""
        ...


class SystemClock:
    """The machine's clock, shifted by `offset`, which only the demo ever sets."""

    def __init__(self) -> None:
        self.offset = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def real(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class FakeClock:
    """Stands still until `advance` is called."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, 4, 0, tzinfo=UTC)) -> None:
        self._now = start
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self._now

    def real(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, **parts: float) -> datetime:
        """Moves both readings on by `timedelta(**parts)` and returns the new present."""
        step = timedelta(**parts)
        self._now += step
        self._monotonic += step.total_seconds()
        return self._now


def to_millis(moment: datetime) -> int:
    """Whole milliseconds since 1970, as `job`, `schedule` and `rate` store time."""
    return int(moment.timestamp() * 1000)


def from_millis(value: int) -> datetime:
    return datetime.fromtimestamp(value / 1000, UTC)
