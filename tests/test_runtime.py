"""What runs beside the requests of a process."""

import asyncio
import sqlite3

import pytest

from app import runtime
from app.core.clock import FakeClock
from app.db.database import Database
from app.db.slots import RENEW_AGAIN_SECONDS, RENEW_SECONDS, NoSlot, SlotLease


class _Lease(SlotLease):
    """Its renewals fail as told, one after the other."""

    def __init__(self, database: Database, clock: FakeClock, *failures: Exception) -> None:
        super().__init__(database, clock)
        self.failures = list(failures)
        self.given_back = 0

    async def renew(self) -> None:
        if self.failures:
            raise self.failures.pop(0)

    async def give_back(self) -> None:
        self.given_back += 1
        raise away()


def away() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("unable to open database file")
    error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
    return error


async def test_a_slot_is_renewed_soon_after_trouble(
    database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease may be over by then, and without one nothing is stored."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    lease = _Lease(database, clock, away(), away(), NoSlot())
    with pytest.raises(NoSlot):
        await runtime._renew(lease)
    again = RENEW_AGAIN_SECONDS
    assert pauses == [RENEW_SECONDS, again, again]
    assert again < RENEW_SECONDS


async def test_a_stop_does_not_fail_because_the_database_is_away(
    database: Database, clock: FakeClock
) -> None:
    lease = _Lease(database, clock)
    await runtime._give_back(lease)
    assert lease.given_back == 1
