"""A small stand-in for the platform's API: gives tokens, takes customer messages, keeps them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Platform:
    port: int = 0
    sent: list[dict[str, Any]] = field(default_factory=list)
    """Customer messages, in the order they came."""
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def texts(self, openid: str) -> list[str]:
        return [m["text"]["content"] for m in self.sent if m["touser"] == openid]

    async def until_sent(self, count: int, seconds: float = 20) -> list[dict[str, Any]]:
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: len(self.sent) >= count)
        return self.sent

    _open: "dict[asyncio.StreamWriter, asyncio.Event]" = field(default_factory=dict)

    async def hang_up(self) -> None:
        """Ends every connection that a client keeps open."""
        ended = list(self._open.values())
        for writer in list(self._open):
            writer.close()
        for event in ended:
            await event.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open[writer] = asyncio.Event()
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._answer(head.decode().lower(), reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self._open.pop(writer).set()

    async def _answer(
        self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        length = 0
        if "content-length:" in head:
            length = int(head.split("content-length:", 1)[1].split("\r\n", 1)[0])
        body = await reader.readexactly(length)
        answer: dict[str, Any] = {"errcode": 0, "errmsg": "ok"}
        if "/message/custom/send" in head:
            async with self._changed:
                self.sent.append(json.loads(body))
                self._changed.notify_all()
        elif "token" in head.split("\r\n", 1)[0]:
            answer = {"access_token": "t" * 40, "expires_in": 7200}
        out = json.dumps(answer).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(out), out)
        )
        await writer.drain()


@asynccontextmanager
async def platform() -> AsyncIterator[Platform]:
    made = Platform()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.hang_up()
