"""Tells open pages what changed, as server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

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


class Stream(StreamingResponse):
    """An event stream that ends as soon as the client goes or the server stops, not at the next beat."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(
            hub.listen(),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with asyncio.TaskGroup() as tasks:
            streaming = tasks.create_task(self.stream_response(send))
            watching = tasks.create_task(_gone(receive))
            await asyncio.wait((streaming, watching), return_when=asyncio.FIRST_COMPLETED)
            streaming.cancel()
            watching.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _frame(kind: str, data: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps({"type": kind, **data}) + b"\n\n"
