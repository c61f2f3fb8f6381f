"""Requests straight to an ASGI endpoint, which can be left unanswered and dropped by the caller."""

import asyncio
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from starlette.types import ASGIApp


@dataclass
class Call:
    """One request under way: `async with Call(app, path, query, [body]) as call`.

    At the end of the block the caller drops the connection, as WeChat does after five seconds.
    """

    app: ASGIApp
    path: str
    query: str
    parts: Sequence[bytes] = (b"",)
    method: str = "POST"
    breaks_off: bool = False
    """The caller is gone after the last part, before the body was whole."""
    gate: asyncio.Event | None = None
    """The last part of the body comes only when this is set."""
    sent: list[MutableMapping[str, Any]] = field(default_factory=list)
    read: int = 0
    """How many parts of the body were taken."""
    _held: asyncio.Event = field(default_factory=asyncio.Event)
    _dropped: asyncio.Event = field(default_factory=asyncio.Event)
    _task: "asyncio.Future[None] | None" = None

    async def __aenter__(self) -> Self:
        scope = {
            "type": "http",
            "method": self.method,
            "path": self.path,
            "query_string": self.query.encode(),
            "headers": [],
        }
        self._task = asyncio.ensure_future(self.app(scope, self._receive, self._send))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.drop()
        if not self.over:
            await self.answered()

    def drop(self) -> None:
        self._dropped.set()

    async def cut_off(self) -> None:
        """Cancelled, as by a server whose grace is over."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait((self._task,))
        assert self._task.cancelled()

    @property
    def over(self) -> bool:
        return self._task is not None and self._task.done()

    async def answered(self) -> None:
        """Waits for the end of the request, at most ten seconds."""
        assert self._task is not None
        await asyncio.wait_for(asyncio.shield(self._task), 10)

    async def held(self) -> None:
        """Waits until the endpoint itself waits for the caller to drop the connection."""
        await asyncio.wait_for(self._held.wait(), 10)

    @property
    def status(self) -> int | None:
        return self.sent[0]["status"] if self.sent else None

    @property
    def body(self) -> bytes:
        return b"".join(m["body"] for m in self.sent if m["type"] == "http.response.body")

    async def _receive(self) -> MutableMapping[str, Any]:
        if self.read < len(self.parts):
            if self.gate is not None and self.read == len(self.parts) - 1:
                await self.gate.wait()
            part = self.parts[self.read]
            self.read += 1
            more = self.read < len(self.parts) or self.breaks_off
            return {"type": "http.request", "body": part, "more_body": more}
        if not self.breaks_off:
            self._held.set()
            await self._dropped.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        self.sent.append(message)
