"""How jobs ended, written in groups: a commit for each finish is twenty times slower."""

import asyncio
from collections.abc import Callable, Sequence

from app.core.log import get_logger
from app.db.database import Database
from app.db.faults import is_passing
from app.db.tx import Tx
from app.delivery import claims
from app.delivery.claims import Outcome

GROUP_SECONDS = 0.01
RETRY_SECONDS = 1.0
_LOG = get_logger(__name__)


class Finisher:
    """Collects outcomes and writes them every 10 ms, guarded by their fences.

    `settled(outcomes)` is called after the commit. While the database is away they are kept and
    written later; a process that dies with them leaves its jobs to the end of their leases.
    """

    def __init__(self, database: Database, settled: Callable[[list[Outcome]], None]) -> None:
        self._database = database
        self._settled = settled
        self._waiting: list[Outcome] = []
        self._some = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    def add(self, outcome: Outcome) -> None:
        self._waiting.append(outcome)
        self._some.set()

    async def run(self) -> None:
        """Ends only by cancellation; call `flush` after that."""
        while True:
            await self._some.wait()
            await asyncio.sleep(GROUP_SECONDS)
            if not await self.flush():
                await asyncio.sleep(RETRY_SECONDS)

    async def flush(self) -> bool:
        """Writes what waits; false when the database could not take it now."""
        async with self._one_at_a_time:
            outcomes, self._waiting = self._waiting, []
            self._some.clear()
            if not outcomes:
                return True
            try:
                await self.write(outcomes)
            except Exception as error:  # noqa: BLE001  # kept for the next time
                _LOG.warning("jobs.finish_failed", jobs=len(outcomes), error=repr(error))
                self._waiting = outcomes + self._waiting
                self._some.set()
                return False
            self._settled(outcomes)
            return True

    async def write(self, outcomes: Sequence[Outcome]) -> None:
        """In one transaction; one by one when that meets a constraint.

        A job that goes back to waiting may meet a newer one with its dedup that was committed at
        the same moment; asked again, the statement sees it and lets the newer one carry on.
        """

        async def work(tx: Tx) -> int:
            return await claims.settle(tx, outcomes)

        try:
            written = await self._database.transaction(work)
        except Exception as error:
            if is_passing(error) or len(outcomes) == 0:
                raise
            await self._write_singly(outcomes)
        else:
            if written < len(outcomes):
                _LOG.warning("jobs.finished_too_late", jobs=len(outcomes) - written)

    async def _write_singly(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:

            async def work(tx: Tx, one: Outcome = outcome) -> int:
                return await claims.settle(tx, [one])

            await self._database.transaction(work)
