"""A small account server over real HTTP, which answers as a test tells it."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

Answer = Callable[["Seen"], "bytes | str | Response"]


@dataclass
class Seen:
    """One delivery as it arrived."""

    query: dict[str, str]
    body: str
    number: int

    def get(self, name: str) -> str:
        found = re.search(
            rf"<{name}>(?:<!\[CDATA\[)?(.*?)(?:\]\]>)?</{name}>", self.body, re.DOTALL
        )
        return found[1] if found else ""


def text_reply(seen: Seen, text: str = "你好", *, rest: str = "") -> str:
    return xml_reply(
        seen, f"<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{text}]]></Content>{rest}"
    )


def xml_reply(seen: Seen, inner: str) -> str:
    return (
        f"<xml><ToUserName><![CDATA[{seen.get('FromUserName')}]]></ToUserName>"
        f"<FromUserName><![CDATA[{seen.get('ToUserName')}]]></FromUserName>"
        f"<CreateTime>1767225661</CreateTime>{inner}</xml>"
    )


@dataclass
class Mailbox:
    """The server's side of one test: what to answer, what came."""

    url: str
    answer: Answer = text_reply
    echo: Callable[[str], "str | Response"] = lambda echostr: echostr
    seen: list[Seen] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)
    """Set when those held may go; at the latest at the end of the test."""

    def hold(self) -> None:
        """Keeps a request waiting. For answers that must come too late, however slow the machine."""
        self.release.wait(30)


class Bot:
    """All mailboxes of a test process, behind one port."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._boxes: dict[str, Mailbox] = {}
        self.app = Starlette(routes=[Route("/{name}", self._serve, methods=["GET", "POST"])])

    def mailbox(self) -> Mailbox:
        name = f"box{len(self._boxes)}"
        self._boxes[name] = Mailbox(f"{self.base}/{name}")
        return self._boxes[name]

    async def _serve(self, request: Request) -> Response:
        box = self._boxes[request.path_params["name"]]
        query = dict(request.query_params)
        if request.method == "GET":
            answer: bytes | str | Response = box.echo(query["echostr"])
        else:
            seen = Seen(query, (await request.body()).decode(), len(box.seen) + 1)
            box.seen.append(seen)
            answer = await run_in_threadpool(box.answer, seen)
        return answer if isinstance(answer, Response) else Response(answer)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(app: ASGIApp, port: int) -> Iterator[str]:
    """Serves an application on 127.0.0.1 from a thread; yields its address."""
    config = uvicorn.Config(
        app, port=port, log_level="critical", ws="none", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
