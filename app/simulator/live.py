"""Tells open pages what changed, as server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson

_BEAT_SECONDS = 15.0
_QUEUE = 1000


class Hub:
    """Spreads changes to any number of listeners; a slow one is told to load everything again."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[bytes]] = set()
        self.closed = False

    def tell(self, kind: str, **data: Any) -> None:
        if not self._queues:
            return
        line = _frame(kind, data)
        for queue in self._queues:
            if queue.full():
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(_frame("resync", {}))
            else:
                queue.put_nowait(line)

    def close(self) -> None:
        """Ends every stream."""
        self.closed = True
        for queue in self._queues:
            while queue.full():
                queue.get_nowait()
            queue.put_nowait(b"")

    async def listen(self) -> AsyncIterator[bytes]:
        """Frames until the listener goes or the simulator stops; a comment every 15 s keeps it open."""
        queue: asyncio.Queue[bytes] = asyncio.Queue(_QUEUE)
        self._queues.add(queue)
        try:
            yield b"retry: 1500\n\n"
            while not self.closed:
                try:
                    frame = await asyncio.wait_for(queue.get(), _BEAT_SECONDS)
                except TimeoutError:
                    frame = b": here\n\n"
                if not frame:
                    return
                yield frame
        finally:
            self._queues.discard(queue)


def _frame(kind: str, data: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps({"type": kind, **data}) + b"\n\n"
