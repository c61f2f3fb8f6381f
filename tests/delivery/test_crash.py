"""`kill -9` of a worker: nothing is lost, lanes keep their order, nothing is sent twice (CS-19, CS-20)."""

import asyncio
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from app.core.clock import SystemClock
from app.core.ids import Ids
from app.core.incoming import Grant
from app.db.database import Database
from app.db.tx import Tx
from app.delivery.models import Job, Outbound, SendWindow
from app.delivery.outbound import DRAIN
from app.delivery.tasks import Task
from tests.delivery.conftest import Post, read_all

FOLLOWERS = 12
EACH = 5
LANES = 10
DEEP = 12
CONCURRENCY = 8


async def start(url: str, log: Path, worker: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.delivery.crashing", url, str(log), worker),
        env={"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"]},
    )


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


async def until_lines(log: Path, count: int) -> None:
    async with asyncio.timeout(30):
        while len(lines(log)) < count:  # noqa: ASYNC110  # written by another process
            await asyncio.sleep(0.01)


async def fill(post: Post, database: Database) -> None:
    """Real time: the workers are processes with a clock of their own."""
    never = Task("crash.effect", "bulk", post.work.note.run, attempts=9)
    for follower in range(1, FOLLOWERS + 1):
        await post.follower(follower)
        await post.grant(Grant.MESSAGE, follower)
        await post.put(*[f"{follower}-{n}" for n in range(EACH)], follower=follower)

    async def lanes(tx: Tx) -> None:
        for number in range(DEEP):
            for lane in range(LANES):
                args = {"lane": lane, "number": number}
                await post.work.jobs.enqueue(tx, never, args, lane=1000 + lane)

    await database.transaction(lanes)


async def finished(database: Database) -> bool:
    jobs = await read_all(database, Job, Job.id)
    rows = await read_all(database, Outbound, Outbound.id)
    return not any(j.state in ("ready", "running") for j in jobs) and all(
        r.state not in ("queued", "sending") for r in rows
    )


async def test_a_killed_worker_loses_nothing_and_sends_nothing_twice(
    database: Database, database_url: str, tmp_path: Path, on_postgres: bool
) -> None:
    clock: Any = SystemClock()  # time is real here
    post = Post(database, clock, Ids(clock, 9))
    await fill(post, database)
    log = tmp_path / "log"
    first = await start(database_url, log, "first")
    others = [await start(database_url, log, "second")] if on_postgres else []
    await until_lines(log, 40)
    first.send_signal(signal.SIGKILL)
    await first.wait()
    if not on_postgres:
        others = [await start(database_url, log, "second")]
    async with asyncio.timeout(60):
        while not await finished(database):  # noqa: ASYNC110  # other processes work
            await asyncio.sleep(0.05)
    for other in others:
        other.terminate()
        await other.wait()
    await judge(database, lines(log))


async def judge(database: Database, said: list[str]) -> None:
    sent = [line.split()[1] for line in said if line.startswith("sent ")]
    assert max(Counter(sent).values()) == 1, "handed over twice"
    for follower in range(1, FOLLOWERS + 1):
        of_one = [text for text in sent if text.startswith(f"{follower}-")]
        assert of_one == sorted(of_one), "out of order"
    rows = await read_all(database, Outbound, Outbound.id)
    states = Counter(row.state for row in rows)
    assert set(states) <= {"sent", "unknown"}
    assert states["unknown"] <= CONCURRENCY
    assert {r.payload["text"] for r in rows if r.state == "sent"} <= set(sent)
    charged = await read_all(database, SendWindow, SendWindow.follower_id)
    assert [w.used for w in charged] == [EACH] * FOLLOWERS

    ran = [tuple(map(int, line.split()[1:])) for line in said if line.startswith("ran ")]
    assert set(ran) == {(lane, n) for lane in range(LANES) for n in range(DEEP)}, "lost"
    repeated = len(ran) - len(set(ran))
    assert repeated <= CONCURRENCY, "more than what was in flight"
    for lane in range(LANES):
        numbers = [n for of, n in ran if of == lane]
        assert numbers == sorted(numbers), "a lane out of order"
    assert [j for j in await read_all(database, Job, Job.id) if j.task != DRAIN] == []
