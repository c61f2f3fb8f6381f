"""A process of ours under a test's hand, and what the platform would see of it."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sqlalchemy import create_engine, text

from app.db.database import sync_url
from tests.invariants.fire import free_port
from tests.wire import Sender, openid, value_of

START_SECONDS = 60.0
PLATFORM_SECONDS = 5.0


@dataclass(eq=False)
class Process:
    """`python -m …` with these arguments, by default our slow server; ended with the test."""

    arguments: Sequence[str]
    folder: Path
    module: str = "tests.invariants.slow"
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    sender: Sender = field(default_factory=Sender)
    started: asyncio.subprocess.Process | None = None

    @property
    def log(self) -> Path:
        return self.folder / f"{self.port}.log"

    async def start(self, *more: str) -> None:
        await self.spawn(*more)
        await self.ready()

    async def spawn(self, *more: str) -> None:
        """As `start`, for a process that answers no requests."""
        arguments = [*self.arguments, *more, "--port", str(self.port)]
        with self.log.open("ab") as log:
            self.started = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self.module,
                *arguments,
                stderr=log,
                stdout=log,
                start_new_session=True,
                env={**os.environ, **self.environment, "PYTHONUNBUFFERED": "1"},
            )

    async def ready(self) -> None:
        """Waits until requests are answered."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self.alive:
            with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError):
                status, _ = await self.request("GET", "/healthz")
                if status == 200:
                    return
            await asyncio.sleep(0.05)
        raise RuntimeError(f"the process did not start:\n{self.log.read_text()[-3000:]}")

    @property
    def alive(self) -> bool:
        return self.started is not None and self.started.returncode is None

    async def kill(self) -> None:
        """Nothing of it is left, nor had a chance to tidy up; a supervisor ends its processes first."""
        if self.started is None or self.started.returncode is not None:
            return
        if self.module == "app" or "--supervised" in self.arguments:
            self.started.terminate()
        else:
            os.killpg(self.started.pid, signal.SIGKILL)
        await self.started.wait()

    async def terminate(self) -> float:
        """SIGTERM; how many seconds the process took to end."""
        assert self.started is not None
        began = time.monotonic()
        self.started.terminate()
        await asyncio.wait_for(self.started.wait(), 30)
        return time.monotonic() - began

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Log lines of that event."""
        lines = self.log.read_text().splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in found if line.get("event") == event]

    async def until_logged(self, event: str, count: int = 1, seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while len(self.lines(event)) < count:  # noqa: ASYNC110  # another process writes it
                await asyncio.sleep(0.1)

    async def until_stored(self, url: str, statement: str, seconds: float = 20) -> None:
        """Waits until the query finds something."""
        async with asyncio.timeout(seconds):
            while not query(url, statement):  # noqa: ASYNC110  # another process writes it
                await asyncio.sleep(0.05)

    # --- as the platform --------------------------------------------------------------------------

    async def request(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> tuple[int, bytes]:
        more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(
                f"{method} {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n"
                f"Content-Length: {len(body)}\r\n{more}\r\n".encode()
                + body
            )
            answer = await reader.read()
            if not answer:
                raise asyncio.IncompleteReadError(b"", None)
            head, _, content = answer.partition(b"\r\n\r\n")
            return int(head.split(b" ", 2)[1]), content
        finally:
            writer.close()

    async def attempt(self, xml: str, seconds: float = PLATFORM_SECONDS) -> str | None:
        """The passive answer, empty for the empty success; None for silence.

        Silence means: not one byte, until the platform drops the connection or the server closes it.
        """
        query, body = self.sender.request(xml, datetime.now(UTC))
        try:
            async with asyncio.timeout(seconds):
                status, content = await self.request("POST", f"/wechat/shop?{query}", body)
        except (OSError, asyncio.IncompleteReadError):  # a timeout is an OSError too
            return None
        assert status == 200, (status, content)
        return value_of(content.decode(), "Content")

    def text(self, words: str, who: int, number: int) -> str:
        return self.sender.text(openid(who), words, datetime.now(UTC), number)

    async def say(self, words: str, who: int, number: int) -> str | None:
        return await self.attempt(self.text(words, who, number))

    async def readyz(self) -> tuple[int, dict[str, Any]]:
        status, body = await self.request("GET", "/readyz")
        return status, json.loads(body)


def query(url: str, statement: str) -> list[tuple[object, ...]]:
    """Runs a statement past the application, and gives the rows it finds."""
    engine = create_engine(sync_url(url))
    with engine.begin() as connection:
        found = connection.execute(text(statement))
        rows = [tuple(row) for row in found] if found.returns_rows else []
    engine.dispose()
    return rows


def after_lease(url: str) -> None:
    """As if a dead process's leases had ended: half a minute that a test need not wait."""
    query(url, "UPDATE job SET lease_until = 1 WHERE state = 'running'")


@asynccontextmanager
async def process(folder: Path, *arguments: str) -> AsyncIterator[Process]:
    made = Process([*arguments, "--folder", str(folder)], folder)
    try:
        yield made
    finally:
        await made.kill()
