"""Wake-ups between tasks and processes. Only hints: everything works, a second later, without them.

In the process subscribers are called on the event loop. On PostgreSQL hints also travel by NOTIFY,
sent after the commit and coalesced on a connection of their own: inside a business transaction
NOTIFY makes all such commits wait for one global lock.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import psycopg

from app.core.log import get_logger
from app.core.rng import secret_token
from app.core.settings import Settings

CHANNEL = "guanxi"
MOST_BYTES = 7_900
"""PostgreSQL takes payloads of less than 8,000 bytes."""
RECONNECT_SECONDS = 1.0
ALIVE_SECONDS = 30.0
"""How long the listener waits before it asks the connection whether it still lives."""
_BREAK = "\x1f"
_LOG = get_logger(__name__)

Callback: TypeAlias = Callable[[str], None]


def listen_url(settings: Settings) -> str | None:
    """The direct connection for LISTEN; None on SQLite, where one process is all there is."""
    if settings.on_sqlite:
        return None
    return settings.database_listen_url or settings.database_url


class Wake:
    """`hint` tells every subscriber of a channel, here and in other processes, that it may look."""

    def __init__(self, url: str | None) -> None:
        self._url = url
        self._origin = secret_token(6)
        self._subscribers: dict[str, list[Callback]] = {}
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, str], None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._some = asyncio.Event()
        self._outgoing: dict[tuple[str, str], None] = {}
        self._to_send = asyncio.Event()
        self.listening = asyncio.Event()
        """Set while hints of other processes arrive."""

    def subscribe(self, channel: str, callback: Callback) -> None:
        """`callback(payload)` runs on the event loop; an empty payload may mean anything, and comes
        too whenever the connection was made anew, since hints may have been lost."""
        self._subscribers.setdefault(channel, []).append(callback)

    def hint(self, channel: str, payload: str = "") -> None:
        """Callable from any thread, before `run` too. Equal hints are sent once.

        Raises `ValueError` for a payload that PostgreSQL would not carry.
        """
        size = len(channel.encode()) + len(payload.encode()) + len(self._origin) + 2
        if size > MOST_BYTES:
            raise ValueError(f"a hint of {size} bytes is too long")
        with self._lock:
            self._pending[channel, payload] = None
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._some.set)

    async def run(self) -> None:
        """Spreads hints until it is cancelled."""
        self._loop = asyncio.get_running_loop()
        self._some.set()  # for what came before
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._spread())
                if self._url is not None:
                    group.create_task(self._reconnecting(self._listen, self._url))
                    group.create_task(self._reconnecting(self._notify, self._url))
        finally:
            self._loop = None

    async def _spread(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            with self._lock:
                pending, self._pending = self._pending, {}
            for channel, payload in pending:
                self._call(channel, payload)
            if self._url is not None and pending:
                self._outgoing.update(pending)
                self._to_send.set()

    def _call(self, channel: str, payload: str) -> None:
        for callback in self._subscribers.get(channel, ()):
            try:
                callback(payload)
            except Exception as error:  # noqa: BLE001  # one subscriber must not silence the others
                _LOG.error("wake.subscriber_failed", channel=channel, exc_info=error)

    async def _reconnecting(
        self, use: Callable[[psycopg.AsyncConnection], Awaitable[None]], url: str
    ) -> None:
        lost = False
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(
                    url, autocommit=True, connect_timeout=3
                )
                lost = False
                async with connection:
                    await use(connection)
            except (psycopg.Error, OSError) as error:
                if not lost:  # once, not each second, until there is a connection again
                    _LOG.warning("wake.connection_lost", error=type(error).__name__)
                lost = True
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self, connection: psycopg.AsyncConnection) -> None:
        await connection.execute(f"LISTEN {CHANNEL}")
        self.listening.set()
        try:
            for channel in self._subscribers:
                self._call(channel, "")
            while True:
                async for note in connection.notifies(timeout=ALIVE_SECONDS):
                    self._heard(note.payload)
                await connection.execute("SELECT 1")
        finally:
            self.listening.clear()

    def _heard(self, text: str) -> None:
        origin, _, rest = text.partition(_BREAK)
        channel, _, payload = rest.partition(_BREAK)
        if origin != self._origin:
            self._call(channel, payload)

    async def _notify(self, connection: psycopg.AsyncConnection) -> None:
        while True:
            await self._to_send.wait()
            self._to_send.clear()
            outgoing, self._outgoing = self._outgoing, {}
            async with connection.pipeline():
                for channel, payload in outgoing:
                    text = _BREAK.join((self._origin, channel, payload))
                    await connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, text))
