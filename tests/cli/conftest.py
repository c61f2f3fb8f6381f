"""Commands as real processes, on a database of the test."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from app.cli.commands import app
from app.core.settings import Settings
from tests.conftest import KEY

ROOT = Path(__file__).parents[2]
PATIENCE = 40.0
"""Seconds; a start takes some on a machine that is busy with other tests."""


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    stdout: str
    stderr: str


Run = Callable[..., Ended]


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    return {
        "GUANXI_DATABASE_URL": settings.database_url,
        "GUANXI_DATA_DIR": str(settings.data_dir),
        "GUANXI_SECRET_KEY": KEY,
    }


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Runs a short command in this process; keywords are settings. A traceback is the test's own."""

    def run(*arguments: str, **settings: str) -> Ended:
        changed = environment | {f"GUANXI_{n.upper()}": v for n, v in settings.items()}
        found = CliRunner().invoke(app, arguments, env=changed, catch_exceptions=False)
        return Ended(found.exit_code, found.stdout, found.stderr)

    return run


@pytest.fixture
def run_apart(environment: dict[str, str]) -> Run:
    """Runs a command as people do, in a process of its own."""

    def run(*arguments: str, **settings: str) -> Ended:
        changed = environment | {f"GUANXI_{n.upper()}": v for n, v in settings.items()}
        found = subprocess.run(
            [sys.executable, "-m", "app", *arguments],
            cwd=ROOT,
            env=os.environ | changed,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Ended(found.returncode, found.stdout, found.stderr)

    return run


class Serving:
    """A `serve` that runs until `stop`, or the end of the test."""

    def __init__(self, environment: dict[str, str], log: Path, *arguments: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app", "serve", "--port", str(self.port), *arguments],
                cwd=ROOT,
                env=os.environ | environment,
                stdout=output,
                stderr=output,
            )

    def until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if httpx.get(f"{self.url}/healthz", timeout=1).status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.1)
        raise AssertionError(f"not ready: {self.log.read_text()}")

    def children(self) -> list[int]:
        """The serving processes of this parent."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(12)
            except subprocess.TimeoutExpired:
                self.process.kill()


@pytest.fixture
def serve(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Serving]]:
    started: list[Serving] = []

    def start(*arguments: str, **settings: str) -> Serving:
        changed = environment | {f"GUANXI_{n.upper()}": v for n, v in settings.items()}
        serving = Serving(changed, tmp_path / f"serve-{len(started)}.log", *arguments)
        started.append(serving)
        return serving

    yield start
    for serving in started:
        serving.end()
