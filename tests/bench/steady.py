"""A client that sends at a constant rate, whatever the server does; late answers count as late."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

CONNECTIONS = 128
PATIENCE_SECONDS = 5.0
"""As long as the platform waits."""


@dataclass
class Told:
    """What came back since it was last looked at."""

    seconds: list[float] = field(default_factory=list)
    """From the moment a delivery was due to its answer, also when it had to wait to be sent."""
    refused: int = 0
    silent: int = 0
    """Not answered within five seconds, or the connection was lost."""

    def p99_ms(self) -> float:
        ordered = sorted(self.seconds)
        return 1e3 * ordered[int(len(ordered) * 0.99)] if ordered else 0.0


class Steady:
    """Sends what `make(unix seconds)` gives, `rate` times a second."""

    def __init__(self, port: int, rate: float, make: Callable[[int], bytes]) -> None:
        self._port = port
        self._rate = rate
        self._make = make
        self._due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        self._told = Told()

    def taken(self) -> Told:
        """Everything told since the last call."""
        told, self._told = self._told, Told()
        return told

    async def run(self, seconds: float) -> None:
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(self._connection()) for _ in range(CONNECTIONS)]
            await self._clockwork(seconds)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._due.join(), PATIENCE_SECONDS)
            for worker in workers:
                worker.cancel()

    async def _clockwork(self, seconds: float) -> None:
        started = time.monotonic()
        for number in range(int(seconds * self._rate)):
            due = started + number / self._rate
            pause = due - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            self._due.put_nowait((due, self._make(int(time.time()))))

    async def _connection(self) -> None:
        reader: asyncio.StreamReader | None = None
        writer: asyncio.StreamWriter | None = None
        while True:
            due, made = await self._due.get()
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    if reader is None or writer is None:
                        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                    writer.write(made)
                    ok = await _answered(reader)
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                self._told.silent += 1
                if writer is not None:
                    writer.close()
                reader = writer = None
            else:
                self._told.seconds.append(time.monotonic() - due)
                self._told.refused += not ok
            finally:
                self._due.task_done()


async def _answered(reader: asyncio.StreamReader) -> bool:
    """Reads one answer to its end; whether it was 200."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    )
    await reader.readexactly(length)
    return head.startswith(b"HTTP/1.1 200")
