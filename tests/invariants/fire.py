"""Many deliveries to several processes, some of them killed on the way; a log of every answer."""

import asyncio
import contextlib
import os
import random
import signal
import socket
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.invariants.dialogue import in_dialogue
from tests.wire import Sender, openid

FOLLOWERS = 300
CLIENTS = 64
LEAST_IN_FLIGHT = 16
REPEATED = 0.3
ATTEMPT_SECONDS = 5.0
START_SECONDS = 60.0
MOST_SECONDS = 600.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(eq=False)
class Server:
    """A server process that can be killed and comes back on the same port."""

    url: str
    variant: str
    folder: Path
    port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with (self.folder / f"{self.port}.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.invariants.serve",
                self.url,
                str(self.port),
                self.variant,
                str(self.folder),
                stderr=log,
                stdout=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        await self.ready()

    async def ready(self) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return
            if self.process is not None and self.process.returncode is not None:
                break
            await asyncio.sleep(0.05)
        log = (self.folder / f"{self.port}.log").read_text()
        raise RuntimeError(f"the server did not start:\n{log[-3000:]}")

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
            await self.process.wait()

    async def stop(self) -> None:
        """The gentle way, so that coverage and the like are written."""
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), 15)
            except TimeoutError:
                await self.kill()


@dataclass
class Log:
    """What the platform would know: every answer that arrived, by delivery."""

    answers: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    failures: int = 0
    kills: int = 0
    in_flight: int = 0
    at_kills: list[int] = field(default_factory=list)
    at_once: int = 0


class Fire:
    """Sends `deliveries` numbered texts of 300 followers while processes are killed `kills` times.

    Every other follower is in a dialogue.
    """

    def __init__(self, servers: list[Server], deliveries: int, kills: int, seed: int) -> None:
        self.servers = servers
        self.deliveries = deliveries
        self.kills = kills
        self.rng = random.Random(seed)
        self.sender = Sender(safe=True)
        self.log = Log()
        self._next = 0
        self._done = False

    async def run(self) -> Log:
        async with asyncio.timeout(MOST_SECONDS):
            await asyncio.gather(*(server.start() for server in self.servers))
            async with asyncio.TaskGroup() as group:
                killer = group.create_task(self._killer())
                clients = [group.create_task(self._client()) for _ in range(CLIENTS)]
                await asyncio.wait(clients)
                self._done = True
                await killer
            for server in self.servers:
                await server.stop()
        return self.log

    async def _client(self) -> None:
        while True:
            # Nobody stops before the last kill, or the last kills would hit idle processes.
            if self._next >= self.deliveries and self.log.kills >= self.kills:
                return
            self._next += 1
            await self._deliver(self._next)

    async def _deliver(self, number: int) -> None:
        follower = number % FOLLOWERS
        words = f"f{number}" if in_dialogue(follower) else f"w{number}"
        xml = self.sender.text(openid(follower), words, datetime.now(UTC), number)
        chance = self.rng.random()
        self.log.in_flight += 1
        try:
            if chance < REPEATED * 2 / 3 and len(self.servers) > 1:
                self.log.at_once += 1
                two = self.rng.sample(self.servers, 2)
                await asyncio.gather(*(self._until_answered(number, xml, first) for first in two))
            elif chance < REPEATED * 2 / 3:
                self.log.at_once += 1
                await asyncio.gather(*(self._until_answered(number, xml) for _ in range(2)))
            else:
                await self._until_answered(number, xml)
        finally:
            self.log.in_flight -= 1
        if REPEATED * 2 / 3 <= chance < REPEATED:
            await self._until_answered(number, xml)

    async def _until_answered(self, number: int, xml: str, first: Server | None = None) -> None:
        """Asks one process after the other, as the platform repeats, until one answers."""
        server = first or self.rng.choice(self.servers)
        while True:
            try:
                async with asyncio.timeout(ATTEMPT_SECONDS):
                    status, body = await self._post(server, xml)
            except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
                self.log.failures += 1
                await asyncio.sleep(0.02)
            else:
                text = self.sender.read(body)
                self.log.answers[number].append(f"{status} {text}")
                return
            server = self.rng.choice(self.servers)

    async def _post(self, server: Server, xml: str) -> tuple[int, bytes]:
        query, body = self.sender.request(xml, datetime.now(UTC))
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            writer.write(
                f"POST /wechat/shop?{query} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(head.lower().split("content-length:", 1)[1].split("\r\n", 1)[0])
            return int(head.split(" ", 2)[1]), await reader.readexactly(length)
        finally:
            writer.close()

    async def _killer(self) -> None:
        while self.log.kills < self.kills and not self._done:
            await asyncio.sleep(self.rng.uniform(0.3, 0.8))
            server = self.rng.choice(self.servers)
            while self.log.in_flight < LEAST_IN_FLIGHT:  # noqa: ASYNC110  # a few milliseconds
                await asyncio.sleep(0.005)
            self.log.at_kills.append(self.log.in_flight)
            await server.kill()
            self.log.kills += 1
            await server.start()
