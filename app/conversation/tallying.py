"""Counts who answered, by following what was stored: the consumer `replies.tally` of the event feed."""

from collections.abc import Sequence

from app.accounts.queries import read_zones
from app.core.clock import Clock
from app.core.ids import AccountId
from app.core.incoming import Kind
from app.db.database import Database
from app.db.feed import STEP, Feed, Told
from app.db.tx import Tx
from app.delivery.schedule import Timetable
from app.delivery.tasks import Task, Tasks
from app.delivery.work import TaskContext
from app.engines.replies.tallies import STEP as ROWS
from app.engines.replies.tallies import Contact, Tallies
from app.engines.support.queries import ContactView, read_contacts

CONSUMER = "replies.tally"
TRIM_EVERY = 4
"""Steps between two looks at how many misses an account has: at most 2,000 new ones."""


class Tallying:
    """Every minute, among many processes; each delivery is counted once, however they are killed."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        tasks: Tasks,
        timetable: Timetable,
        tallies: Tallies,
    ) -> None:
        self._database = database
        self._tallies = tallies
        self._missing: set[AccountId] = set()
        """Accounts that had misses since the last trim."""
        self._feed = Feed(database, clock, CONSUMER, {"message.created"}, self._consume)
        tally = tasks.add(Task(CONSUMER, "bulk", self.run, timeout_seconds=600))
        prune = tasks.add(Task("replies.prune_tallies", "bulk", self.prune, timeout_seconds=600))
        timetable.every(tally.name, tally, minutes=1)
        timetable.daily(prune.name, prune, at="04:20")

    async def run(self, ctx: TaskContext) -> None:
        await self.catch_up()

    async def catch_up(self) -> None:
        """Counts everything that is there."""
        steps = 0
        while await self._feed.step() == STEP:
            steps += 1
            if steps % TRIM_EVERY == 0:
                await self._trim()
        await self._trim()

    async def prune(self, ctx: TaskContext) -> None:
        """Forgets counts of long ago."""
        while await self._database.transaction(self._tallies.prune) == ROWS:
            pass

    async def _consume(self, tx: Tx, events: Sequence[Told]) -> None:
        messages = [
            int(event.payload["message_id"])
            for event in events
            if event.payload["direction"] == "in"
        ]
        contacts = [_contact(view) for view in await read_contacts(tx, messages)]
        zones = await read_zones(tx, {contact.account_id for contact in contacts})
        await self._tallies.count(tx, contacts, zones)
        missed = {contact.account_id for contact in contacts if contact.why.get("missed")}
        tx.after_commit(lambda: self._missing.update(missed))

    async def _trim(self) -> None:
        while self._missing:
            account_id = self._missing.pop()

            async def work(tx: Tx, account_id: AccountId = account_id) -> int:
                return await self._tallies.trim_misses(tx, account_id)

            while await self._database.transaction(work) == ROWS:
                pass


def _contact(view: ContactView) -> Contact:
    typed = view.text if view.kind == Kind.TEXT else ""
    return Contact(view.account_id, typed, view.why, view.at)
