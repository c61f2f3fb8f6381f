"""Where WeChat's deliveries come in: `/wechat/{slug}`.

A bare ASGI endpoint ahead of the application: routing, dependencies and middleware of a framework
endpoint would halve the throughput (`docs/performance.md`).

The platform shows the follower a fault for any answer it does not understand, and only silence is
documented as repeated. So whatever goes wrong here after authentication, before the commit, is met
with silence: the connection is held until WeChat drops it and asks again.
"""

import asyncio
import resource
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from prometheus_client import Counter, Gauge, Histogram

from app.accounts.registry import AccountRegistry, LiveAccount
from app.conversation.deadline import Deadline
from app.conversation.delivery import Answer, Delivery
from app.conversation.quarantine import Quarantine
from app.core.clock import Clock
from app.core.errors import Unavailable
from app.core.log import get_logger
from app.core.rng import secret_digits
from app.db.writer import Writer
from app.wechat.crypto import Forbidden, Opened, is_echostr
from app.wechat.limits import ANSWER_BUDGET_SECONDS, BODY_BYTES
from app.wechat.parse import NotUnderstood, parse

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PREFIX = "/wechat/"
_MOST_HELD = 20_000
_FILES_KEPT_FREE = 500
_LOG = get_logger(__name__)

_OUTCOMES = Counter("guanxi_webhook_total", "Requests of the platform, by outcome", ["outcome"])
_EMPTY = _OUTCOMES.labels("empty")
_ANSWERED = _OUTCOMES.labels("answered")
_SECONDS = Histogram(
    "guanxi_webhook_seconds",
    "Seconds from arrival to answer",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 4.5),
)
_HELD = Gauge("guanxi_webhook_held", "Connections held in silence until the platform asks again")

_SUCCESS = b"success"
_PLAIN = [(b"content-type", b"text/plain; charset=utf-8")]
_XML = [(b"content-type", b"text/xml; charset=utf-8")]


class _Refused(Exception):
    """Answered with a status and nothing else."""

    def __init__(self, status: int, outcome: str, **why: object) -> None:
        super().__init__(outcome)
        self.status = status
        self.outcome = outcome
        self.why = why


class _Silence(Exception):
    """Not answered at all."""


class Webhook:
    """One per process. `writer` commits; `deadline` waits for apart handlers."""

    def __init__(
        self,
        accounts: AccountRegistry,
        writer: Writer[Delivery, Answer],
        deadline: Deadline,
        quarantine: Quarantine,
        clock: Clock,
        *,
        most_held: int | None = None,
    ) -> None:
        """`most_held` connections are held in silence; by default what the file limit allows."""
        self._accounts = accounts
        self._writer = writer
        self._deadline = deadline
        self._quarantine = quarantine
        self._clock = clock
        self._held = 0
        self._most_held = most_held or _most_held()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        arrived = self._clock.monotonic()
        try:
            status, headers, body = await self._respond(scope, receive, arrived)
        except _Refused as refused:
            _OUTCOMES.labels(refused.outcome).inc()
            _LOG.warning("webhook.refused", outcome=refused.outcome, **refused.why)
            status, headers, body = refused.status, _PLAIN, b""
        except _Silence:
            await self._hold(receive, send)
            return
        except Exception as error:  # noqa: BLE001  # any fault is met with silence, see above
            _LOG.error("webhook.fault", error=repr(error), exc_info=error)
            await self._hold(receive, send)
            return
        await _answer(send, status, headers, body)
        _SECONDS.observe(self._clock.monotonic() - arrived)

    async def _respond(
        self, scope: Scope, receive: Receive, arrived: float
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        slug = scope["path"][len(PREFIX) :]
        account = self._accounts.by_slug(slug)
        if account is None:
            raise _Refused(404, "unknown-account", slug=slug[:40])
        query = _query(scope["query_string"])
        self._check(account, query)
        match scope["method"]:
            case "POST":
                return await self._delivery(account, query, await _body(receive), arrived)
            case "GET":
                return _verification(query)
            case method:
                raise _Refused(405, "method", method=method)

    def _check(self, account: LiveAccount, query: dict[str, str]) -> None:
        try:
            account.codec.check(
                query.get("signature", ""),
                query.get("timestamp", ""),
                query.get("nonce", ""),
                int(self._clock.real().timestamp()),
            )
        except Forbidden as error:
            raise _Refused(403, error.reason, slug=account.slug, detail=str(error)) from error

    async def _delivery(
        self, account: LiveAccount, query: dict[str, str], body: bytes, arrived: float
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        xml: str | None = None
        try:
            opened = account.codec.open(body, query)
            xml = opened.xml
            message = parse(xml)
        except Forbidden as error:
            raise _Refused(403, error.reason, slug=account.slug, detail=str(error)) from error
        except NotUnderstood as error:
            legible = body if xml is None else xml.encode()
            await self._set_aside(account, error, legible, arrived)
            return 200, _PLAIN, _SUCCESS
        await self._check_receiver(account, message.account)
        delivery = Delivery(
            account=account,
            message=message,
            incoming=message.incoming(),
            key=message.key,
            subject=message.subject,
            raw=opened.xml,
            arrived_at=self._clock.now(),
            arrived=arrived,
        )
        answer = await self._committed(delivery)
        return self._sealed(account, opened, answer)

    async def _check_receiver(self, account: LiveAccount, receiver: str) -> None:
        """The delivery must be for this account; the first one teaches an id that was not set up."""
        known = account.original_id
        if known is None:
            known = await self._accounts.learn_original_id(account.id, receiver)
        if known != receiver:
            raise _Refused(403, "wrong-receiver", slug=account.slug, receiver=receiver[:40])

    async def _set_aside(
        self, account: LiveAccount, error: NotUnderstood, body: bytes, arrived: float
    ) -> None:
        _LOG.warning("webhook.not_understood", slug=account.slug, reason=error.reason)
        async with asyncio.timeout(self._left(arrived)):
            await self._quarantine.keep(account.id, error.reason, str(error), body)
        _OUTCOMES.labels("quarantined").inc()

    def _left(self, arrived: float) -> float:
        return arrived + ANSWER_BUDGET_SECONDS - self._clock.monotonic()

    async def _committed(self, delivery: Delivery) -> Answer:
        """The answer, once its commit is on disk; silence when that takes too long."""
        try:
            future = self._writer.submit(
                delivery,
                key=delivery.receipt,
                lane=delivery.lane,
                deadline=delivery.arrived + ANSWER_BUDGET_SECONDS,
            )
            await _done_or_late(future, self._left(delivery.arrived))
            if not future.done():
                _LOG.warning("webhook.silent", key=delivery.key, why="LATE")
                future.add_done_callback(self._deadline.begin_late)
                raise _Silence
            answer: Answer | None = future.result()
        except Unavailable as error:
            _LOG.warning("webhook.silent", key=delivery.key, why=error.code)
            raise _Silence from error
        if answer is not None and answer.status is None:
            answer = await self._deadline.wait(delivery, answer)
        if answer is None:
            raise _Silence
        return answer

    def _sealed(
        self, account: LiveAccount, opened: Opened, answer: Answer
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        if answer.xml is None:
            _EMPTY.inc()
            return 200, _PLAIN, _SUCCESS
        _ANSWERED.inc()
        if opened.key_index is None:
            return 200, _XML, answer.xml.encode()
        sealed = account.codec.seal(
            answer.xml,
            opened.key_index,
            timestamp=int(self._clock.real().timestamp()),
            nonce=secret_digits(10),
        )
        return 200, _XML, sealed.encode()

    async def _hold(self, receive: Receive, send: Send) -> None:
        """Waits in silence for the platform to drop the connection.

        Beyond the cap on held connections a 503 is the lesser harm: without free descriptors nobody
        is answered.
        """
        if self._held >= self._most_held:
            _OUTCOMES.labels("overload").inc()
            await _answer(send, 503, _PLAIN, b"")
            return
        _OUTCOMES.labels("silent").inc()
        self._held += 1
        _HELD.set(self._held)
        try:
            await _until_dropped(receive)
        except asyncio.CancelledError:  # the process ends: the server would send its own 500 now
            if not _drop(send):
                raise
            _LOG.info("webhook.dropped")
            await _until_dropped(receive)  # the server hears of it, and has nothing to complain of
        finally:
            self._held -= 1
            _HELD.set(self._held)


def _most_held() -> int:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(_MOST_HELD, files - _FILES_KEPT_FREE))


async def _done_or_late(future: asyncio.Future[Answer], seconds: float) -> None:
    """Waits until the future is done or the time is over; never cancels what others wait for.

    `asyncio.wait` does the same at several times the cost, which shows at thousands a second.
    """
    if future.done():
        return
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()

    def wake(_: object = None) -> None:
        if not waiter.done():
            waiter.set_result(None)

    timer = loop.call_later(seconds, wake)
    future.add_done_callback(wake)
    try:
        await waiter
    finally:
        timer.cancel()
        future.remove_done_callback(wake)


def _verification(query: dict[str, str]) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """The platform checks the URL: the echostr as it came, nothing around it."""
    echostr = query.get("echostr", "")
    if not is_echostr(echostr):
        raise _Refused(400, "bad-echostr")
    _OUTCOMES.labels("verified").inc()
    return 200, _PLAIN, echostr.encode()


def _query(raw: bytes) -> dict[str, str]:
    """The parameters by name. Those of deliveries have nothing escaped, which saves most of the work."""
    text = raw.decode("latin-1")
    if "%" in text or "+" in text:
        return dict(parse_qsl(text, keep_blank_values=True))
    return {name: value for name, _, value in (part.partition("=") for part in text.split("&"))}


async def _body(receive: Receive) -> bytes:
    """At most 64 KiB; a sender who breaks off is met with silence, there being nobody to answer."""
    message = await receive()
    if not message.get("more_body", False) and message["type"] == "http.request":
        whole: bytes = message["body"]
        if len(whole) > BODY_BYTES:
            raise _Refused(413, "too-large", size=len(whole))
        return whole
    parts = bytearray()
    while True:
        if message["type"] != "http.request":
            raise _Silence
        parts += message.get("body", b"")
        if len(parts) > BODY_BYTES:
            raise _Refused(413, "too-large", size=len(parts))
        if not message.get("more_body", False):
            return bytes(parts)
        message = await receive()


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


async def _until_dropped(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _drop(send: Send) -> bool:
    """Closes the connection without a byte; false where the server does not let us reach it."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        return False
    transport.abort()
    return True
