"""A process that counts answers until it is killed:  python -m tests.conversation.counting URL"""

import asyncio
import sys

from app.conversation.tallying import Tallying
from app.core.clock import SystemClock
from app.core.settings import Settings
from app.core.text import normalise
from app.db.database import Database, open_database
from app.db.faults import is_passing
from app.delivery.jobs import Jobs
from app.delivery.schedule import Timetable
from app.delivery.tasks import Tasks
from app.engines.replies.tallies import Tallies


def tallying(database: Database) -> Tallying:
    clock, tasks = SystemClock(), Tasks()
    timetable = Timetable(database, Jobs(tasks, clock), clock)
    tallies = Tallies(clock, lambda _, text: normalise(text))
    return Tallying(database, clock, tasks, timetable, tallies)


async def main(url: str) -> None:
    counting = tallying(open_database(Settings.model_validate({"database_url": url})))
    print("ready", flush=True)
    while True:
        try:
            await counting.catch_up()
        except Exception as error:
            if not is_passing(error):
                raise
        await asyncio.sleep(0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
