"""What is measured, and how one of them is brought up, warmed and driven."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import shop
from tests.bench.databases import POSTGRES, SQLITE, Databases, Shop
from tests.bench.driver import NOTHING, Run, drive
from tests.bench.grown import Grown, default_folder
from tests.bench.load import Load, Loads
from tests.bench.postgres import analyse
from tests.bench.processes import Running, running, uvicorn

ECHO, BASE, ONE_SESSION, OURS = "ECHO", "BASE", "one session", "ours"
DEMO = "the demo's server"
"""Looked at while nobody writes: only its memory counts."""
MOST_PER_SECOND = 12_000
"""No subject that must not see a repeat answers more in a second here."""


@dataclass(frozen=True, slots=True)
class Setup:
    """A server and what it works with; measured at several numbers of connections in turn."""

    subject: str
    database: str = ""
    processes: int = 1
    mode: str = "plain"
    rules: int = 10
    followers: int = shop.FOLLOWERS
    grown: bool = False
    """In the database of `tests.bench.grown`, not in a fresh one."""
    beside: str = ""
    """Measured once more, right beside what it is compared with: minutes apart a machine is another."""

    def __str__(self) -> str:
        parts = [self.subject, self.database]
        if self.processes > 1:
            parts.append(f"{self.processes} processes")
        if self.mode != "plain":
            parts.append(self.mode)
        if self.rules != 10:
            parts.append(f"{self.rules:,} rules")
        if self.followers != shop.FOLLOWERS:
            parts.append(f"{self.followers:,} followers")
        if self.grown:
            parts.append("grown")
        if self.beside:
            parts.append(self.beside)
        return " · ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things take, in seconds."""

    warm: int
    run: int


@dataclass(frozen=True, slots=True)
class Measured:
    run: Run
    memory_mb: float
    """Of the largest process, after the run."""
    server_us: float
    """CPU time of the server per answer, in microseconds."""
    database_us: float
    """The same of PostgreSQL."""
    faults: str
    """Why it does not count; empty when it does."""


class Bench:
    """Measures setups one after the other."""

    def __init__(self, folder: Path, pace: Pace, say: Callable[[str], None]) -> None:
        self.databases = Databases(folder)
        self.grown = Grown(default_folder())
        self._folder = folder
        self._pace = pace
        self._say = say
        self._loads = Loads(folder)

    def measure(self, setup: Setup, connections: Sequence[int]) -> dict[int, Measured]:
        """Starts the server, warms it, analyses its database, and drives it at each number."""
        if setup.subject == DEMO:
            return {0: self._look_at_demo()}
        url = self._database(setup)
        log = self._folder / "server.log"
        try:
            with running(_command(setup), log, _environment(url, self._folder)) as server:
                return self._drive(setup, connections, server, url)
        finally:
            if url and not setup.grown:
                self.databases.drop(url)

    def close(self) -> None:
        """Stops what was started for databases."""
        self.databases.close()
        self.grown.close()

    def _database_cpu(self) -> float:
        return self.databases.cpu_seconds() + self.grown.cpu_seconds()

    def _look_at_demo(self) -> Measured:
        command = [sys.executable, "-m", "app", "demo", "--port", "{port}"]
        environment = {"GUANXI_DATA_DIR": str(self._folder / "demo")}
        with running(command, self._folder / "demo.log", environment) as server:
            time.sleep(self._pace.warm)
            memory = server.memory_mb()
        self._say(f"{DEMO}: {memory:.0f} MB")
        return Measured(NOTHING, memory, 0.0, 0.0, "")

    def _database(self, setup: Setup) -> str:
        if not setup.database:
            return ""
        if setup.grown:
            self.grown.freshen(setup.database)
            return self.grown.url(setup.database)
        return self.databases.fresh(setup.database, Shop(setup.mode, setup.rules))

    def _drive(
        self, setup: Setup, connections: Sequence[int], server: Running, url: str
    ) -> dict[int, Measured]:
        seconds = self._pace.warm + self._pace.run * len(connections)
        load = Load(setup.mode, setup.followers)
        file = self._loads.file(load, MOST_PER_SECOND * seconds, new=setup.grown)
        warm = drive(
            server.port, file, position=0, connections=connections[0], seconds=self._pace.warm
        )
        if url and not setup.grown:  # which has been, and reading it through takes long
            analyse(url)
        position = warm.position
        measured: dict[int, Measured] = {}
        for number in connections:
            server_cpu, database_cpu = server.cpu_seconds(), self._database_cpu()
            run = drive(
                server.port,
                file,
                position=position,
                connections=number,
                seconds=self._pace.run,
            )
            position = run.position
            answers = max(run.requests, 1) / 1e6
            measured[number] = Measured(
                run,
                server.memory_mb(),
                server_us=(server.cpu_seconds() - server_cpu) / answers,
                database_us=(self._database_cpu() - database_cpu) / answers,
                faults=run.faults(repeats_matter=bool(setup.database)),
            )
            self._say(_line(setup, number, measured[number]))
        return measured


def _line(setup: Setup, connections: int, measured: Measured) -> str:
    run = measured.run
    line = (
        f"{setup} @{connections}: {run.rate:,.0f}/s, p50 {run.p50_ms:.0f} ms, "
        f"p99 {run.p99_ms:.0f} ms, CPU {measured.server_us:.0f}+{measured.database_us:.0f} µs"
    )
    return f"{line}  INVALID ({measured.faults})" if measured.faults else line


def _command(setup: Setup) -> list[str]:
    match setup.subject:
        case "ECHO":
            return uvicorn("tests.bench.servers.echo:app", "--lifespan", "off")
        case "BASE":
            return uvicorn("tests.bench.servers.base:app")
        case "one session":
            return uvicorn("tests.bench.servers.one_session:app")
        case _:
            serve = [sys.executable, "-m", "app", "serve", "--host", "127.0.0.1"]
            return [*serve, "--port", "{port}", "--processes", str(setup.processes)]


def _environment(url: str, folder: Path) -> Mapping[str, str]:
    if not url:
        return {}
    return {
        "GUANXI_DATABASE_URL": url,
        "GUANXI_SECRET_KEY": shop.SECRET_KEY,
        "GUANXI_LOG_LEVEL": "warning",
        "GUANXI_DATA_DIR": str(folder),
    }


ON_BOTH = (SQLITE, POSTGRES)
