"""`python -m tests.bench.batches`: where the time of a batch goes, statement by statement.

Batches of deliveries go straight to the intake, without HTTP; each statement is timed from outside,
so nothing of this is in the product. Printed is the batch that nine of ten are slower than: what
else the machine does disturbs that least.
"""

import asyncio
import os
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from pathlib import Path
from random import Random
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import app.db.database
from app.conversation.delivery import Delivery
from app.core.log import setup_logging
from app.core.settings import Settings
from app.db.hot import Hot
from app.db.tx import PostgresTx, SqliteTx, Tx
from app.runtime import Runtime, open_runtime
from app.wechat.parse import parse
from tests.bench import shop
from tests.bench.databases import POSTGRES, SQLITE, Databases, Shop
from tests.bench.load import FIRST_ID, message
from tests.bench.postgres import analyse

_TABLE = re.compile(r"(?:FROM|INTO|UPDATE)\s+(\w+)")


class Clocked:
    """Seconds and rows per statement, of each batch."""

    def __init__(self) -> None:
        self.batches: list[dict[str, float]] = []
        self.rows: defaultdict[str, int] = defaultdict(int)

    def start(self) -> None:
        self.batches.append(defaultdict(float))

    async def time(self, name: str, rows: int, call: Awaitable[Any]) -> Any:
        started = time.perf_counter()
        try:
            return await call
        finally:
            if self.batches:
                self.batches[-1][name] += time.perf_counter() - started
                self.rows[name] += rows


CLOCKED = Clocked()
_MESSAGE_IDS = count(FIRST_ID + int(time.time() * 1_000_000))
"""The platform's numbers rise; random ones would touch a page of their own each."""
OWN_CPU, WALL = "CPU of this process", "whole batch"


def _clocked(kind: type[Tx]) -> type[Tx]:
    """The transaction class with every statement timed."""

    class ClockedTx(kind):  # type: ignore[misc, valid-type]  # the class is a parameter
        async def all(self, statement: Any, params: Any = None) -> Any:
            name = name_of(statement, kind.dialect)
            return await CLOCKED.time(name, 1, super().all(statement, params))

        async def run(self, statement: Any, params: Any = None) -> int:
            name = name_of(statement, kind.dialect)
            return int(await CLOCKED.time(name, 1, super().run(statement, params)))

        async def many(self, statement: Any, rows: Sequence[Any]) -> int:
            if not rows:
                return 0
            name = name_of(statement, kind.dialect)
            return int(await CLOCKED.time(name, len(rows), super().many(statement, rows)))

    return ClockedTx


def name_of(statement: Any, dialect: str) -> str:
    text = statement.prepared(dialect).text if isinstance(statement, Hot) else str(statement)
    table = _TABLE.search(text)
    return f"{text.split(maxsplit=1)[0]} {table.group(1) if table else '?'}"


def main(
    database: Annotated[str, typer.Argument(help="sqlite or postgresql")],
    size: Annotated[int, typer.Option(help="Deliveries in a batch.")] = 64,
    batches: Annotated[int, typer.Option(help="Batches that are timed.")] = 100,
) -> None:
    """Prints milliseconds per batch by statement."""
    setup_logging(level="warning")
    kind = {"sqlite": SQLITE, "postgresql": POSTGRES}[database]
    for transaction in (SqliteTx, PostgresTx):
        setattr(app.db.database, transaction.__name__, _clocked(transaction))
    with tempfile.TemporaryDirectory(prefix="gxb", ignore_cleanup_errors=True) as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder
        databases = Databases(Path(folder))
        try:
            url = databases.fresh(kind, Shop())
            asyncio.run(_measure(url, size, batches, databases.cpu_seconds))
        finally:
            databases.close()


async def _measure(url: str, size: int, batches: int, database_cpu: Callable[[], float]) -> None:
    settings = Settings.model_validate(
        {"database_url": url, "secret_key": shop.SECRET_KEY, "role": "web"}
    )
    random = Random(1)
    async with open_runtime(settings) as runtime:
        for _ in range(3 * shop.FOLLOWERS // size):
            await intake_of(runtime)(batch_of(runtime, random, size))
        await asyncio.to_thread(analyse, url)
        before = database_cpu()
        CLOCKED.batches.clear()
        CLOCKED.rows.clear()
        for _ in range(batches):
            await _commit(runtime, batch_of(runtime, random, size))
        _show(batches, database_cpu() - before)


async def _commit(runtime: Runtime, batch: Sequence[Delivery]) -> None:
    CLOCKED.start()
    started, busy = time.perf_counter(), time.process_time()
    await intake_of(runtime)(batch)
    CLOCKED.batches[-1][WALL] = time.perf_counter() - started
    CLOCKED.batches[-1][OWN_CPU] = time.process_time() - busy


def intake_of(runtime: Runtime) -> Callable[[Sequence[Delivery]], Awaitable[Any]]:
    return runtime.writer._commit


def batch_of(runtime: Runtime, random: Random, size: int) -> list[Delivery]:
    account = runtime.accounts.by_slug(shop.SLUG)
    if account is None:
        raise RuntimeError("the account is not there")
    now = runtime.clock.now()
    deliveries = []
    followers = random.sample(range(shop.FOLLOWERS), size)
    for number, text in zip(followers, shop.drawn_texts(random, size), strict=True):
        raw = message(number, text, next(_MESSAGE_IDS), int(now.timestamp()))
        parsed = parse(raw)
        deliveries.append(
            Delivery(
                account=account,
                message=parsed,
                incoming=parsed.incoming(),
                key=parsed.key,
                subject=parsed.subject,
                raw=raw,
                arrived_at=now,
                arrived=runtime.clock.monotonic(),
            )
        )
    return deliveries


def _show(batches: int, theirs: float) -> None:
    names = {name for batch in CLOCKED.batches for name in batch}
    quick = {
        name: _quick(name)
        for name in names
        if CLOCKED.rows[name] >= batches or name in (OWN_CPU, WALL)
    }
    own, wall = quick.pop(OWN_CPU), quick.pop(WALL)
    grid = Table(title="Milliseconds per batch", title_justify="left")
    for name in ("statement", "rows", "ms"):
        grid.add_column(name, justify="left" if name == "statement" else "right")
    for name, seconds in sorted(quick.items(), key=lambda one: -one[1]):
        grid.add_row(name, f"{CLOCKED.rows[name] / batches:.0f}", f"{1e3 * seconds:.2f}")
    grid.add_section()
    statements = sum(quick.values())
    grid.add_row("all statements", "", f"{1e3 * statements:.2f}")
    grid.add_row("deciding, rendering, commit", "", f"{1e3 * (wall - statements):.2f}")
    grid.add_row(WALL, "", f"{1e3 * wall:.2f}")
    grid.add_row(OWN_CPU, "", f"{1e3 * own:.2f}")
    grid.add_row("CPU of PostgreSQL (mean)", "", f"{1e3 * theirs / batches:.2f}")
    Console().print(grid)


def _quick(name: str) -> float:
    """What nine of ten batches take longer for."""
    seconds = sorted(batch[name] for batch in CLOCKED.batches if name in batch)
    return seconds[len(seconds) // 10]


if __name__ == "__main__":
    typer.run(main)
