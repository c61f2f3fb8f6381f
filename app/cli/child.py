"""One serving process, started by `serve`: `python -m app.cli.child LISTENING_FD ALIVE_FD`."""

import gc
import os
import signal
import socket
import sys
import threading
import time

import uvicorn
from uvicorn.lifespan.on import LifespanOn

from app.cli.complaints import complain, explained, load_settings
from app.core.log import setup_logging
from app.core.settings import Settings
from app.main import Server, create_app
from app.runtime import Extensions

GRACE_SECONDS = 7
"""Held deliveries last at most 5 s, so the server never has to cut one off with an answer of its own."""
_PARENT_GONE_SECONDS = 10.0
START_FAILED = 3
RUNTIME_ENDED = 4
_GARBAGE_THRESHOLDS = (10_000, 20, 20)
"""A delivery makes some hundred objects, and nearly all are freed without the collector."""


def main(listening: int, alive: int) -> int:
    settings = load_settings()
    setup_logging(settings.log_format, settings.log_level)
    threading.Thread(target=_end_with_parent, args=(alive,), name="parent", daemon=True).start()
    app = create_app(settings, extensions=_extensions(settings))
    server = _Uvicorn(
        uvicorn.Config(
            app,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            proxy_headers=False,  # the application believes only the proxies of its settings
            server_header=False,
            timeout_keep_alive=65,  # longer than common proxies keep theirs
            timeout_graceful_shutdown=GRACE_SECONDS,
        ),
        app,
    )
    server.run(sockets=[socket.socket(fileno=listening)])
    if not server.started:
        return START_FAILED
    return RUNTIME_ENDED if server.is_hollow() else 0


def _extensions(settings: Settings) -> Extensions:
    """In the demo, the sample shop's plugin beside those that are found."""
    if not settings.demo:
        return Extensions()
    from app.cli.demo.handlers import plugin  # noqa: PLC0415  # nobody else needs it

    return Extensions(plugins=[plugin])


class _Uvicorn(uvicorn.Server):
    """Winds the application down before it accepts nothing more, and ends when its work has ended.

    What lives as long as the process is put out of the garbage collector's sight once it serves: at
    Python's own thresholds the collector went through everything again and again, for a tenth of the
    time and more, in pauses of 150 ms.
    """

    def __init__(self, config: uvicorn.Config, app: Server) -> None:
        super().__init__(config)
        self._app = app

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GARBAGE_THRESHOLDS)

    def is_hollow(self) -> bool:
        """The background work has failed: what comes in would be held in silence for ever."""
        return isinstance(self.lifespan, LifespanOn) and self.lifespan.error_occurred

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self.is_hollow()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._app.wind_down()
        await super().shutdown(sockets)


def _end_with_parent(alive: int) -> None:
    """Stops this process when the parent is gone: the pipe it holds the other end of then closes."""
    os.read(alive, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PARENT_GONE_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    try:
        code = main(int(sys.argv[1]), int(sys.argv[2]))
    except Exception as error:
        complaint = explained(error)
        if complaint is None:
            raise
        complain(complaint)
        code = START_FAILED
    sys.exit(code)
