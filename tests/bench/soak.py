"""`python -m tests.bench.soak sqlite|postgresql --minutes 30 --rate 500`: does it stay as it is?

A constant rate of texts, repeats, newcomers, dialogues and slow questions; every ten seconds memory,
p99, log, open files and backlog are looked at. The verdict holds the last third against the first.
Exits with 1 when it is not flat. Ends by itself.
"""

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from app.core.log import setup_logging
from app.core.settings import Settings
from app.db.audit import SYSTEM
from app.db.tx import Tx
from app.engines.replies.inputs import FlowInput, RuleInput
from app.engines.replies.matcher import RuleKind
from app.runtime import open_runtime
from tests.bench import shop
from tests.bench.chatter import FLOW_WORD, Chatter
from tests.bench.databases import POSTGRES, SQLITE, Databases, Shop
from tests.bench.grown import KINDS
from tests.bench.load import FIRST_ID
from tests.bench.postgres import connected
from tests.bench.processes import Running, family, running, uvicorn
from tests.bench.steady import Steady, Told

EVERY_SECONDS = 10
FOLLOWERS = 20_000
LOG_MB = {SQLITE: 200, POSTGRES: 1_200}
"""Bounds of the log on disk: SQLite's own net lies at 160 MB, PostgreSQL's `max_wal_size` is 1 GB."""


@dataclass(frozen=True, slots=True)
class Sample:
    seconds: float
    rate: float
    p99_ms: float
    memory_mb: float
    log_mb: float
    checkpoints: int
    files: int
    backlog: int
    refused: int
    silent: int


@dataclass(frozen=True, slots=True)
class Bound:
    """`figure` of the last third may be at most `factor` times that of the first, and `more`."""

    name: str
    figure: Callable[[Sample], float]
    factor: float
    more: float


FLAT = (
    Bound("memory, MB", lambda s: s.memory_mb, 1.10, 5),
    Bound("p99, ms", lambda s: s.p99_ms, 1.25, 5),
    Bound("open files", lambda s: s.files, 1.0, 8),
    Bound("backlog of jobs", lambda s: s.backlog, 1.25, 50),
)


def main(
    database: Annotated[str, typer.Argument(help="sqlite or postgresql")],
    minutes: Annotated[float, typer.Option(min=0.5)] = 30,
    rate: Annotated[float, typer.Option(min=1, help="Deliveries a second.")] = 500,
) -> None:
    """Prints a line every ten seconds, the table of thirds and the verdict."""
    setup_logging(level="warning")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything started is stopped
    kind = KINDS[database]
    console = Console()
    with tempfile.TemporaryDirectory(prefix="gxb", ignore_cleanup_errors=True) as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder
        databases = Databases(Path(folder))
        try:
            url = databases.fresh(kind, Shop())
            asyncio.run(_add_dialogue(url))
            samples = _soak(console, kind, url, Path(folder), minutes * 60, rate)
        finally:
            databases.close()
    if not _judge(console, kind, samples, rate):
        raise typer.Exit(1)


def _soak(
    console: Console, kind: str, url: str, folder: Path, seconds: float, rate: float
) -> list[Sample]:
    log = folder / "server.log"
    environment = {
        "GUANXI_DATABASE_URL": url,
        "GUANXI_SECRET_KEY": shop.SECRET_KEY,
        "GUANXI_DATA_DIR": str(folder),
    }
    with running(uvicorn("tests.bench.servers.soak:app"), log, environment) as server:
        probe = Probe(kind, url, server)
        chatter = Chatter(FOLLOWERS, FIRST_ID + int(time.time() * 1_000_000))
        steady = Steady(server.port, rate, chatter.next)
        samples = asyncio.run(_watched(console, steady, probe, seconds))
    said = log.read_text(errors="replace").strip()
    if said:
        console.print(f"The server said:\n{said[-2000:]}", markup=False)
    return samples


async def _watched(
    console: Console, steady: Steady, probe: "Probe", seconds: float
) -> list[Sample]:
    samples: list[Sample] = []
    started = time.monotonic()
    sending = asyncio.create_task(steady.run(seconds))
    while not sending.done():
        await asyncio.wait([sending], timeout=EVERY_SECONDS)
        if sending.done() and samples:
            break  # what is left of the last ten seconds is no sample
        sample = await asyncio.to_thread(probe.look, steady.taken(), time.monotonic() - started)
        samples.append(sample)
        console.print(_line(sample), highlight=False)
    await sending
    return samples


class Probe:
    """Looks at the server and its database from outside."""

    def __init__(self, kind: str, url: str, server: Running) -> None:
        self._kind = kind
        self._url = url
        self._server = server
        self._at = 0.0

    def look(self, told: Told, seconds: float) -> Sample:
        log, checkpoints, backlog = self._database()
        sample = Sample(
            seconds=seconds,
            rate=len(told.seconds) / max(seconds - self._at, 0.001),
            p99_ms=told.p99_ms(),
            memory_mb=self._server.memory_mb(),
            log_mb=log,
            checkpoints=checkpoints,
            files=sum(_files(pid) for pid in family(self._server.pid)),
            backlog=backlog,
            refused=told.refused,
            silent=told.silent,
        )
        self._at = seconds
        return sample

    def _database(self) -> tuple[float, int, int]:
        """Megabytes of the log, checkpoints so far (of PostgreSQL), jobs that wait or run."""
        with connected(self._url, autocommit=self._kind == POSTGRES) as connection:
            waiting = "SELECT count(*) FROM job WHERE state IN ('ready', 'running')"
            backlog = int(connection.scalar(text(waiting)) or 0)
            if self._kind == SQLITE:
                file = Path(self._url.removeprefix("sqlite:///") + "-wal")
                return file.stat().st_size / 1e6, 0, backlog
            size: Any = connection.scalar(text("SELECT sum(size) FROM pg_ls_waldir()"))
            made = connection.scalar(
                text("SELECT num_timed + num_requested FROM pg_stat_checkpointer")
            )
            return float(size) / 1e6, int(made or 0), backlog


def _files(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except FileNotFoundError:
        return 0


def _line(sample: Sample) -> str:
    return (
        f"{sample.seconds:6.0f} s  {sample.rate:5.0f}/s  p99 {sample.p99_ms:5.0f} ms  "
        f"memory {sample.memory_mb:4.0f} MB  log {sample.log_mb:5.0f} MB  "
        f"checkpoints {sample.checkpoints:3}  files {sample.files:4}  jobs {sample.backlog:5}  "
        f"refused {sample.refused}  silent {sample.silent}"
    )


def _judge(console: Console, kind: str, samples: Sequence[Sample], rate: float) -> bool:
    """Prints the thirds; whether everything stayed as it was."""
    third = max(1, len(samples) // 3)
    first, last = samples[:third], samples[-third:]
    grid = Table(
        title=f"{kind}, {rate:g}/s for {samples[-1].seconds / 60:.1f} min", title_justify="left"
    )
    for name in ("", "first third", "last third", "at most", ""):
        grid.add_column(name, justify="left" if not name else "right")
    good = []
    for bound in FLAT:
        before, after = (median(map(bound.figure, part)) for part in (first, last))
        most = before * bound.factor + bound.more
        good.append(after <= most)
        grid.add_row(bound.name, f"{before:.0f}", f"{after:.0f}", f"{most:.0f}", _word(good[-1]))
    largest = max(sample.log_mb for sample in samples)
    good.append(largest <= LOG_MB[kind])
    grid.add_row("log, MB, largest", "", f"{largest:.0f}", f"{LOG_MB[kind]}", _word(good[-1]))
    lost = sum(sample.refused + sample.silent for sample in samples)
    good.append(lost == 0)
    grid.add_row("refused or silent", "", f"{lost}", "0", _word(good[-1]))
    slowest = min(sample.rate for sample in last)
    good.append(slowest >= 0.98 * rate)
    grid.add_row("answers/s, least", "", f"{slowest:.0f}", f"≥ {0.98 * rate:.0f}", _word(good[-1]))
    console.print(grid)
    console.print("flat" if all(good) else "NOT flat")
    return all(good)


def _word(good: bool) -> str:
    return "[green]good[/green]" if good else "[red]bad[/red]"


async def _add_dialogue(url: str) -> None:
    """A flow of two questions, and the words that start it."""
    settings = Settings.model_validate(
        {"database_url": url, "secret_key": shop.SECRET_KEY, "role": "web"}
    )
    said = [{"do": "reply", "with": {"kind": "text", "text": "订好了：{day}，{size} 位。" * 4}}]
    plan = {
        "steps": [
            {"ask": "好的，几位？" * 8, "expect": "number", "save_as": "size"},
            {"ask": "{size} 位，哪一天？" * 8, "expect": "date", "save_as": "day"},
        ],
        "finish": said,
    }
    rule = RuleInput(
        name="booking flow",
        kind=RuleKind("exact"),
        words=[FLOW_WORD],
        answers=[[{"do": "start_flow", "with": {"flow": "soak"}}]],
    )
    async with open_runtime(settings) as runtime:
        account = runtime.accounts.by_slug(shop.SLUG)
        if account is None:
            raise RuntimeError("the account is not there")

        async def work(tx: Tx) -> None:
            flow = FlowInput(name="soak", plan=plan)
            await runtime.replies.import_many(tx, SYSTEM, account.id, rules=[rule], flows=[flow])

        await runtime.database.transaction(work)


if __name__ == "__main__":
    typer.run(main)
