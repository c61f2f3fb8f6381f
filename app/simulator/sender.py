"""Posts deliveries to an account's server with the platform's deadline and repeats."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import httpx

from app.core.log import get_logger
from app.core.rng import secret_digits, secret_token
from app.simulator import markup, signing
from app.simulator.faults import Fault
from app.simulator.model import Account, Attempt, Delivery
from app.simulator.outward import http_client
from app.simulator.reply import Trigger, Verdict, judge
from app.simulator.world import World

_ANSWER_BYTES = 1 << 20
_ANSWERED = frozenset({"shown", "nothing", "desk", "fault", "ignored", "dropped"})
_HEADERS = {"User-Agent": "Mozilla/4.0", "Content-Type": "text/xml", "Accept": "*/*"}
_AN_HOUR = 3600
log = get_logger("simulator.sender")

Spawn = Callable[[Coroutine[Any, Any, None]], None]


@dataclass(frozen=True, slots=True)
class Timing:
    """The platform's patience, in seconds. Tests shorten it."""

    deadline: float = 5.0
    """From the start of a request to the end of its answer."""
    spacing: float = 5.0
    """From the start of one attempt to the start of the next."""


@dataclass(frozen=True, slots=True)
class _Request:
    query: dict[str, str]
    body: str
    aes_key: str


class Sender:
    """Sends each delivery by a task of its own: as on the platform, two may overlap."""

    def __init__(
        self,
        world: World,
        timing: Timing,
        spawn: Spawn,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._world = world
        self._timing = timing
        self._spawn = spawn
        self._sending: dict[str, tuple[Delivery, asyncio.Event]] = {}
        # A connection for each request: a kept one that the server has just closed would look like
        # an attempt that failed.
        self._http = http_client(
            transport,
            headers=_HEADERS,
            timeout=None,  # the deadline covers the whole attempt
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )

    async def close(self) -> None:
        await self._http.aclose()

    # what others ask

    def send(self, delivery: Delivery) -> None:
        """Starts sending; returns at once."""
        self._sending[delivery.id] = (delivery, asyncio.Event())
        self._save(delivery)
        self._spawn(self._run(delivery))

    def find(self, delivery_id: str) -> Delivery | None:
        live = self._sending.get(delivery_id)
        return live[0] if live else self._world.store.find_delivery(delivery_id)

    async def settled(self, delivery_id: str) -> None:
        """Returns when nothing of the delivery is under way any more."""
        live = self._sending.get(delivery_id)
        if live:
            await live[1].wait()

    async def repeat(self, delivery: Delivery, url: str) -> Attempt:
        """Sends a delivery once more, outside the platform's attempts; its answer is only recorded."""
        attempt = self._new_attempt(delivery, url, copied=True)
        await self._attempt(self._world.account(delivery.appid), delivery, attempt)
        self._compare(delivery)
        self._save(delivery)
        return attempt

    async def verify(self, account: Account) -> str:
        """The GET that precedes saving a URL. Empty when it was answered well, else what was wrong."""
        stamp, nonce = str(int(self._world.real().timestamp())), secret_digits(10)
        echo = secret_digits(19)
        query = {
            "signature": signing.sign(account.token, stamp, nonce),
            "timestamp": stamp,
            "nonce": nonce,
            "echostr": echo,
        }
        try:
            async with asyncio.timeout(self._timing.deadline):
                answer = await self._http.get(httpx.URL(account.url).copy_merge_params(query))
        except TimeoutError:
            return f"no answer within {self._timing.deadline:g} s"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"no connection: {str(error) or type(error).__name__}"
        if answer.status_code != 200:
            return f"HTTP {answer.status_code}; 200 and the bare echostr are expected"
        if answer.content != echo.encode():
            return f"the body must be exactly {echo}, but is {answer.text[:100]!r}"
        return ""

    # the way of one delivery

    async def _run(self, delivery: Delivery) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._try(delivery))
                for url in self._copies(delivery):
                    tasks.create_task(self._copy(delivery, url))
            self._compare(delivery)
        except Exception:
            delivery.state, delivery.reason = "interrupted", "a fault of the simulator"
            log.exception("delivery broke off", delivery=delivery.id)
        finally:
            if delivery.state == "sending":
                delivery.state, delivery.reason = "interrupted", "the simulator was stopped"
            self._save(delivery)
            self._sending.pop(delivery.id)[1].set()

    def _copies(self, delivery: Delivery) -> list[str]:
        fault = self._world.faults.take("repeat", delivery.appid)
        if fault is None:
            return []
        urls = fault.urls or [self._world.account(delivery.appid).url]
        return [urls[n % len(urls)] for n in range(fault.times)]

    async def _copy(self, delivery: Delivery, url: str) -> None:
        attempt = self._new_attempt(delivery, url, copied=True)
        await self._attempt(self._world.account(delivery.appid), delivery, attempt)

    async def _try(self, delivery: Delivery) -> None:
        account = self._world.account(delivery.appid)
        if not account.url:
            delivery.state, delivery.reason = "unsent", "the account has no callback URL"
            return
        loop = asyncio.get_running_loop()
        start = loop.time()
        verdict: Verdict | None = None
        for number in range(account.attempts):
            await asyncio.sleep(start + number * self._timing.spacing - loop.time())
            attempt = self._new_attempt(delivery, account.url)
            verdict = await self._attempt(account, delivery, attempt)
            if verdict and not (verdict.outcome == "fault" and account.retry_errors):
                break
        self._settle(delivery, verdict)

    def _settle(self, delivery: Delivery, verdict: Verdict | None) -> None:
        """What the follower sees of it."""
        if verdict:
            delivery.reason, delivery.answer_plain = verdict.reason, verdict.plain
        else:
            delivery.reason = "no answer"
        if not delivery.answerable:
            delivery.state = "ignored" if verdict else "failed"
        elif verdict is None or verdict.outcome == "fault":
            delivery.state = "failed"
            delivery.shown.append(self._world.show_fault(delivery))
        elif verdict.outcome == "shown":
            delivery.state = "shown"
            for item in verdict.items:
                delivery.shown.append(
                    self._world.show(
                        delivery.appid, delivery.openid, "account", item, delivery=delivery.id
                    )
                )
        else:
            delivery.state = "nothing"

    def _new_attempt(self, delivery: Delivery, url: str, *, copied: bool = False) -> Attempt:
        attempt = Attempt(
            number=1 + sum(a.copied == copied for a in delivery.attempts),
            url=url,
            copied=copied,
            started=self._world.real().isoformat(),
        )
        delivery.attempts.append(attempt)
        self._save(delivery)
        return attempt

    async def _attempt(
        self, account: Account, delivery: Delivery, attempt: Attempt
    ) -> Verdict | None:
        """One request. None stands for silence: no connection, no answer in time."""
        request = self._sealed(account, delivery)
        attempt.query, attempt.body = request.query, request.body
        start = perf_counter()
        verdict: Verdict | None = None
        try:
            async with asyncio.timeout(self._timing.deadline):
                status, body = await self._post(account.appid, attempt)
                attempt.status, attempt.answer = status, body.decode(errors="replace")
                trigger = Trigger(
                    delivery.openid, delivery.msg_type, delivery.answerable, request.aes_key
                )
                verdict = judge(account, trigger, status, body)
                attempt.outcome = verdict.outcome if delivery.answerable else "ignored"
                attempt.reason = verdict.reason
                attempt.answer_plain = verdict.plain
                attempt.ms = round((perf_counter() - start) * 1000, 2)
                if self._world.faults.take("drop_answer", account.appid):
                    attempt.outcome, verdict = "dropped", None
                    await asyncio.sleep(self._timing.deadline)
        except TimeoutError:
            if attempt.outcome != "dropped":
                attempt.outcome = "timeout"
                attempt.reason = f"no answer within {self._timing.deadline:g} s"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            attempt.outcome, attempt.reason = "refused", f"{type(error).__name__}: {error}"
        if attempt.ms is None:
            attempt.ms = round((perf_counter() - start) * 1000, 2)
        self._save(delivery)
        return verdict

    async def _post(self, appid: str, attempt: Attempt) -> tuple[int, bytes]:
        faults = self._world.faults
        if faults.take("unreachable", appid):
            raise httpx.ConnectError("the simulator was told that the network is down")
        slow: Fault | None = faults.take("slow", appid)
        if slow:
            await asyncio.sleep(slow.ms / 1000)
        url = httpx.URL(attempt.url).copy_merge_params(attempt.query)
        async with self._http.stream("POST", url, content=attempt.body.encode()) as answer:
            body = b""
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > _ANSWER_BYTES:
                    break
            return answer.status_code, body

    def _sealed(self, account: Account, delivery: Delivery) -> _Request:
        """Query and body of one attempt, signed and encrypted anew as the account's mode asks."""
        faults = self._world.faults
        late = _AN_HOUR if faults.take("stale", account.appid) else 0
        token = account.token
        if faults.take("forged", account.appid):
            token = secret_token(12)
        stamp = str(int(self._world.real().timestamp()) - late)
        nonce = secret_digits(10)
        query = {
            "signature": signing.sign(token, stamp, nonce),
            "timestamp": stamp,
            "nonce": nonce,
            "openid": delivery.openid,
        }
        if account.mode == "plain":
            return _Request(query, delivery.plain, "")
        aes_key, appid = account.aes_key, account.appid
        if faults.take("wrong_key", account.appid):
            aes_key = new_aes_key()
        if faults.take("wrong_appid", account.appid):
            appid = "wx" + "0" * 16
        encrypted = signing.encrypt(delivery.plain, aes_key, appid)
        query["encrypt_type"] = "aes"
        query["msg_signature"] = signing.sign(token, stamp, nonce, encrypted)
        body = markup.write([("ToUserName", account.original_id), ("Encrypt", encrypted)])
        if account.mode == "compat":
            # The clear fields as they are, with the ciphertext added at the end.
            head, closing, _ = delivery.plain.rpartition("</xml>")
            body = (
                f"{head}<Encrypt>{markup.cdata(encrypted)}</Encrypt>{closing}" if closing else body
            )
        return _Request(query, body, aes_key)

    # keeping

    def _compare(self, delivery: Delivery) -> None:
        """Whether each copy that was answered got the same answer, after decryption."""
        answers = [
            a.answer_plain for a in delivery.attempts if a.outcome in _ANSWERED | {"dropped"}
        ]
        if len(answers) > 1:
            delivery.same_answer = len(set(answers)) == 1

    def _save(self, delivery: Delivery) -> None:
        self._world.store.save_delivery(delivery)
        self._world.hub.tell("delivery", delivery=delivery.summary())


def new_aes_key() -> str:
    """A fresh EncodingAESKey: 43 letters and digits."""
    while True:
        candidate = "".join(c for c in secret_token(60) if c.isalnum())[:43]
        if len(candidate) == 43:
            return candidate
