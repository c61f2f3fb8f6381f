"""What each account answers, in memory, followed by every process within two seconds."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from prometheus_client import Counter, Gauge

from app.core.actions import ActionRegistry
from app.core.clock import Clock
from app.core.events import Event
from app.core.ids import AccountId
from app.core.log import get_logger
from app.db.database import Database
from app.db.tx import Tx
from app.engines.replies.compiled import EMPTY, Compiled, Stored, compile_book
from app.engines.replies.flows import Flow
from app.engines.replies.queries import FLOWS_KEPT, read_stored, read_versions

POLL_SECONDS = 1.0
_LOG = get_logger(__name__)
_RELOADS = Counter("guanxi_replies_reloads_total", "Accounts whose rules were compiled anew")
_BROKEN = Counter("guanxi_replies_broken_total", "Rules, bindings and flows left out", ["what"])
_WORDS = Gauge("guanxi_replies_words", "Words of all compiled rules")
_FAILURES = Counter("guanxi_replies_refresh_failures_total", "Refreshes that failed; tried again")


class Book:
    """Hands out compiled rules; each account's are swapped as a whole, from one moment to the next.

    `current` reads memory alone. `refresh` reads the database; `run` does so every second, and at
    once after `wake`.
    """

    def __init__(self, database: Database, registry: ActionRegistry, clock: Clock) -> None:
        self._database = database
        self._registry = registry
        self._clock = clock
        self._compiled: Mapping[AccountId, Compiled] = {}
        self._refreshing = asyncio.Lock()
        self._woken = asyncio.Event()

    def current(self, account_id: AccountId) -> Compiled:
        """The account's rules; empty ones when it has none."""
        return self._compiled.get(account_id, EMPTY)

    def find_flow(self, account_id: AccountId, name: str, version: int = 0) -> Flow | None:
        """The newest of that name, 0, or the one of a state's version (`Flow.edition`)."""
        return self.current(account_id).find_flow(name, version)

    def wake(self) -> None:
        """Something changed: `run` refreshes without waiting for its next second. On the loop only."""
        self._woken.set()

    async def on_events(self, tx: Tx, events: Sequence[Event]) -> None:
        """Event subscriber: wakes after the commit of a change to rules, bindings, flows or what
        holds for all of them."""
        if any(event.aggregate_type in ("rule", "binding", "flow", "book") for event in events):
            tx.after_commit(self.wake)

    async def refresh(self, account_ids: Collection[AccountId] | None = None) -> None:
        """Loads what changed since the last time, of these accounts or of all.

        After it returns, `current` is at least as new as the database was when it was called.
        """
        async with self._refreshing:
            started = self._clock.monotonic()
            changed = await self._database.read(lambda tx: self._changed(tx, account_ids))
            for account_id, stored in changed.items():
                before = self.current(account_id)
                compiled = await asyncio.to_thread(compile_book, stored, self._registry, before)
                self._compiled = {**self._compiled, account_id: compiled}
                _tell(account_id, before, compiled, self._clock.monotonic() - started)
            if changed:
                _WORDS.set(sum(len(one.matcher) for one in self._compiled.values()))

    async def _changed(
        self, tx: Tx, account_ids: Collection[AccountId] | None
    ) -> dict[AccountId, Stored]:
        versions = await read_versions(tx)
        since = self._clock.now() - FLOWS_KEPT
        return {
            account_id: await read_stored(tx, account_id, version, flows_since=since)
            for account_id, version in versions.items()
            if (account_ids is None or account_id in account_ids)
            and version != self.current(account_id).version
        }

    async def run(self) -> None:
        """Follows changes until cancelled. Trouble with the database is logged and waited out."""
        while True:
            # Not `wait_for`: before Python 3.12 it swallows a cancellation that meets a wake-up.
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._woken.wait()
            self._woken.clear()
            await self.catch_up()

    async def catch_up(self, account_ids: Collection[AccountId] | None = None) -> None:
        """`refresh`, but a failure is logged only: the old rules go on answering, and `run` tries
        again."""
        try:
            await self.refresh(account_ids)
        except Exception as error:  # noqa: BLE001  # see above
            _FAILURES.inc()
            _LOG.warning("replies.refresh_failed", error=repr(error))


def _tell(account_id: AccountId, before: Compiled, now: Compiled, seconds: float) -> None:
    _RELOADS.inc()
    known = set(before.broken)
    for broken in now.broken:
        if broken not in known:
            _BROKEN.labels(broken.what).inc()
            _LOG.warning(
                "replies.left_out",
                account_id=account_id,
                what=broken.what,
                id=broken.id,
                name=broken.name,
                problem=broken.problem,
            )
    _LOG.info(
        "replies.compiled",
        account_id=account_id,
        version=now.version,
        words=len(now.matcher),
        seconds=round(seconds, 3),
    )
