"""A worker process that tests kill: sends for real time, and writes down each hand-over.

    python -m tests.delivery.crashing DATABASE_URL LOG WORKER

A line is written, and flushed, at the moment the platform would have the message. The call goes on
for a while after that, so that a kill mostly hits one that was handed over and not yet recorded.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import Any

from app.core.clock import SystemClock
from app.core.rng import SystemRng
from app.core.settings import Settings
from app.db.database import open_database
from app.db.events import Events
from app.delivery import runner as runner_module
from app.delivery.jobs import Jobs
from app.delivery.outbound import Outbox
from app.delivery.runner import Runner, TaskContext
from app.delivery.sender import Sender
from app.delivery.tasks import Tasks
from tests.delivery.conftest import People

LEASE_SECONDS = 1.0


class Log:
    """Appends whole lines, which concurrent processes cannot tear."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, line: str) -> None:
        os.write(self._file, f"{line}\n".encode())


async def main(url: str, path: str, worker: str) -> None:
    settings = Settings.model_validate({"database_url": url})
    clock, log, tasks = SystemClock(), Log(path), Tasks()
    database = open_database(settings)
    jobs = Jobs(tasks, clock)
    people, events = People(), Events(clock)

    class Api:
        async def send_custom(self, body: Mapping[str, Any]) -> None:
            log.write(f"sent {body['text']['content']}")
            await asyncio.sleep(0.02)

    @tasks.task("crash.effect", queue="bulk", attempts=9)
    async def effect(ctx: TaskContext, lane: int, number: int) -> None:
        log.write(f"ran {lane} {number}")
        await asyncio.sleep(0.01)

    outbox = Outbox(jobs, clock, people, events)
    Sender(database, tasks, jobs, outbox, people, events, lambda _: Api(), clock)
    runner_module.REAP_SECONDS = 0.2
    runner = Runner(
        database,
        jobs,
        tasks,
        clock,
        worker,
        None,
        8,
        rng=SystemRng(),
        lease_seconds=LEASE_SECONDS,
        alone=settings.on_sqlite,
    )
    log.write("ready")
    await runner.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
