"""`python -m tests.bench`: brings everything up, drives it, prints the tables."""

import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.core.log import setup_logging
from tests.bench.databases import POSTGRES, SQLITE
from tests.bench.driver import NoWrk, find_wrk
from tests.bench.grown import Grown, default_folder
from tests.bench.report import show
from tests.bench.subjects import BASE, ECHO, ON_BOTH, Bench, Pace, Setup
from tests.bench.tables import FEW, GROWN, MANY, TABLES, Round, Table, grown

QUICK, FULL = Pace(warm=1, run=2), Pace(warm=3, run=6)
_BASELINES = (Setup(ECHO), Setup(BASE))
_WIDTH = 120
_PACKAGES = ("uvicorn", "uvloop", "httptools", "fastapi", "wechatpy", "sqlalchemy", "psycopg")


def main(
    only: Annotated[
        list[str] | None, typer.Option(help="Only this table; may be given more than once.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Two seconds for each figure.")] = False,
    repeat: Annotated[int, typer.Option(min=1, help="Rounds; printed are the medians.")] = 1,
) -> None:
    """Measures the webhook against baselines on this machine, as ratios."""
    console = _console()
    try:
        find_wrk()
    except NoWrk as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(2) from None
    tables = _chosen(only, console)
    setup_logging(level="warning")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything started is stopped
    with tempfile.TemporaryDirectory(prefix="gxb", ignore_cleanup_errors=True) as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder
        bench = Bench(
            Path(folder), QUICK if quick else FULL, lambda line: console.print(f"  {line}")
        )
        try:
            _describe(console, bench, Path(folder))
            rounds = []
            for number in range(1, repeat + 1):
                console.print(f"Round {number} of {repeat}")
                rounds.append(_round(bench, tables))
        finally:
            bench.close()
    show(console, tables, rounds)


def _console() -> Console:
    """Into a file or a pipe the tables are not squeezed."""
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH)


def _chosen(only: Sequence[str] | None, console: Console) -> list[Table]:
    """The tables asked for; that of the grown databases where those are."""
    kept = Grown(default_folder())
    there = [kind for kind in ON_BOTH if kept.stamp(kind) is not None]
    names = [*(table.name for table in TABLES), GROWN]
    for name in only or ():
        if name not in names:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(names)}")
    wanted = [table for table in TABLES if not only or table.name in only]
    if not only or GROWN in only:
        for kind in ON_BOTH:
            if kind not in there:
                command = f"python -m tests.bench.grown make {kind.lower()}"
                console.print(f"Left out: {GROWN}, {kind}. It is made by `{command}`")
        wanted += [grown(there)] if there else []
    return wanted


def _round(bench: Bench, tables: Sequence[Table]) -> Round:
    """The baselines, everything else, the baselines again."""
    wanted: dict[Setup, set[int]] = {}
    for table in tables:
        for setup, number in table.uses:
            wanted.setdefault(setup, set()).add(number)
    baselines = {setup: sorted(wanted.pop(setup)) for setup in _BASELINES if setup in wanted}
    result = Round()
    for setup, numbers in baselines.items():
        result.add(setup, bench.measure(setup, numbers))
    for setup, connections in wanted.items():
        result.add(setup, bench.measure(setup, sorted(connections)))
    for setup, numbers in baselines.items():
        result.add(setup, bench.measure(setup, numbers))
    return result


def _describe(console: Console, bench: Bench, folder: Path) -> None:
    console.print(
        f"{os.cpu_count()} cores, {_syncs(folder):,.0f} fdatasync/s, "
        f"Python {platform.python_version()}, SQLite {bench.databases.version(SQLITE)}, "
        f"PostgreSQL {bench.databases.version(POSTGRES)} (fsync and synchronous_commit on)"
    )
    console.print(", ".join(f"{name} {version(name)}" for name in _PACKAGES))
    console.print(f"{FEW} and {MANY} connections; wrk, server and database share the machine\n")


def _syncs(folder: Path) -> float:
    """How often a second this disk writes 4 KiB and says so: the bound of commits one by one."""
    path = folder / "sync"
    started, count = time.monotonic(), 0
    with path.open("wb", buffering=0) as file:
        while time.monotonic() - started < 1:
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            count += 1
    path.unlink()
    return count / (time.monotonic() - started)


if __name__ == "__main__":
    typer.run(main)
