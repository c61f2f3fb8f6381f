"""What is answered to whatever comes in: status, counter, one log line, and what is stored."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import select
from structlog.testing import capture_logs

from app.accounts.service import AccountKeys
from app.conversation import quarantine
from app.conversation.filters import Keyword
from app.conversation.models import Quarantined
from app.conversation.router import Router
from app.core.clock import FakeClock
from app.core.decisions import Decision, Snapshot
from app.core.replies import TextReply
from app.core.settings import Settings
from app.db.audit import CLI
from app.db.events import EventRow
from app.db.receipts import Receipt
from app.db.writer import OLDEST_SECONDS, Writer
from app.engines.support.models import Message
from app.runtime import Extensions, Runtime
from app.wechat.limits import BODY_BYTES
from tests.calls import Call
from tests.shop import SLUG, Shop, add_account, open_shop, webhook_of
from tests.wechat.expected import SAMPLES
from tests.wechat.samples import FOLDER, VECTORS, read, read_bytes
from tests.wechat.test_parse import HOSTILE
from tests.wire import AES_KEY, ORIGINAL_ID, Sender, openid, value_of

SAMPLE_ACCOUNT = "gh_5c0ffee5a11e"
VECTOR_MOMENT = datetime.fromtimestamp(int(VECTORS["verify_get"]["query"]["timestamp"]), UTC)
PREVIOUS_KEY: str = VECTORS["encoding_aes_key_previous"]


def router() -> Router:
    made = Router("test")

    @made.decide(Keyword("hi"))
    def hello(snap: Snapshot) -> Decision:
        return Decision.say(TextReply("hello"))

    return made


@pytest.fixture
async def shop(settings: Settings, clock: FakeClock) -> AsyncIterator[Shop]:
    async with open_shop(settings, clock, Extensions(routers=[router()])) as opened:
        yield opened


@pytest.fixture
async def safe_shop(settings: Settings, clock: FakeClock) -> AsyncIterator[Shop]:
    async with open_shop(settings, clock, Extensions(routers=[router()]), mode="safe") as opened:
        yield opened


@dataclass
class Told:
    """What a stretch of time left in counters and log."""

    counted: dict[str, float] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)

    def line(self) -> dict[str, Any]:
        """The one line of trouble there is."""
        trouble = [line for line in self.lines if line["log_level"] in ("warning", "error")]
        assert len(trouble) == 1, trouble
        return trouble[0]


def outcomes() -> dict[str, float]:
    return {
        sample.labels["outcome"]: sample.value
        for metric in REGISTRY.collect()
        if metric.name == "guanxi_webhook"
        for sample in metric.samples
        if sample.name == "guanxi_webhook_total"
    }


@contextmanager
def listening() -> Iterator[Told]:
    told, before = Told(), outcomes()
    with capture_logs() as lines:
        yield told
    told.lines = [dict(line) for line in lines]
    after = outcomes()
    told.counted = {k: v - before.get(k, 0) for k, v in after.items() if v != before.get(k, 0)}


async def nothing_stored(shop: Shop) -> bool:
    tables = (Message, Receipt, Quarantined)
    return not any([await shop.count(table) for table in tables])


class TestRefused:
    """Answered with a status and nothing else; nothing is stored."""

    async def refused(self, shop: Shop, query: str, body: bytes, status: int, outcome: str) -> None:
        with listening() as told:
            response = await shop.http.post(f"/wechat/{SLUG}?{query}", content=body)
        assert (response.status_code, response.content) == (status, b"")
        assert told.counted == {outcome: 1}
        assert (told.line()["event"], told.line()["outcome"]) == ("webhook.refused", outcome)
        assert await nothing_stored(shop)

    @pytest.mark.parametrize("spoilt", ["signature", "timestamp", "nonce"])
    async def test_signed_with_another_token_or_not_at_all(self, shop: Shop, spoilt: str) -> None:
        query, body = shop.sender.request(
            shop.sender.text(openid(1), "hi", shop.clock.now()), shop.clock.now()
        )
        parts = dict(part.split("=") for part in query.split("&"))
        for wrong in ({**parts, spoilt: "1"}, {k: v for k, v in parts.items() if k != spoilt}, {}):
            await self.refused(shop, urlencode(wrong), body, 403, "bad-signature")

    @pytest.mark.parametrize("seconds", [-601, 601])
    async def test_stale(self, shop: Shop, seconds: int) -> None:
        moment = shop.clock.now() + timedelta(seconds=seconds)
        query, body = shop.sender.request(shop.sender.text(openid(1), "hi", moment), moment)
        await self.refused(shop, query, body, 403, "stale-timestamp")

    async def test_for_another_account(self, shop: Shop) -> None:
        xml = shop.sender.text(openid(1), "hi", shop.clock.now()).replace(ORIGINAL_ID, "gh_other")
        query, body = shop.sender.request(xml, shop.clock.now())
        await self.refused(shop, query, body, 403, "wrong-receiver")

    async def test_in_clear_to_safe_mode(self, safe_shop: Shop) -> None:
        xml = safe_shop.sender.text(openid(1), "hi", safe_shop.clock.now())
        query, body = Sender().request(xml, safe_shop.clock.now())
        await self.refused(safe_shop, query, body, 403, "downgrade")

    async def test_encrypted_with_another_key(self, safe_shop: Shop) -> None:
        stranger = Sender(safe=True, aes_key=PREVIOUS_KEY)
        query, body = stranger.request(
            stranger.text(openid(1), "hi", safe_shop.clock.now()), safe_shop.clock.now()
        )
        await self.refused(safe_shop, query, body, 403, "undecryptable")

    async def test_encrypted_for_another_appid(self, safe_shop: Shop) -> None:
        stranger = Sender(safe=True, appid="wx00000000000000bb")
        query, body = stranger.request(
            stranger.text(openid(1), "hi", safe_shop.clock.now()), safe_shop.clock.now()
        )
        await self.refused(safe_shop, query, body, 403, "wrong-appid")

    async def test_unknown_account(self, shop: Shop) -> None:
        xml = shop.sender.text(openid(1), "hi", shop.clock.now())
        for slug in ("nobody", "", "shop/more", "SHOP"):
            with listening() as told:
                response = await shop.post(xml, slug=slug)
            assert response.status_code == 404
            assert told.counted == {"unknown-account": 1}
            assert told.line()["outcome"] == "unknown-account"
        assert await nothing_stored(shop)

    async def test_other_methods(self, shop: Shop) -> None:
        query, _ = shop.sender.request("", shop.clock.now())
        for method in ("PUT", "DELETE", "HEAD", "OPTIONS"):
            with listening() as told:
                response = await shop.http.request(method, f"/wechat/{SLUG}?{query}")
            assert response.status_code == 405
            assert told.counted == {"method": 1}

    @pytest.mark.parametrize("pieces", [1, 2, 9])
    async def test_too_large(self, shop: Shop, pieces: int) -> None:
        """The rest of a body that is too large is not even read."""
        query, _ = shop.sender.request("", shop.clock.now())
        piece = b"x" * (BODY_BYTES // pieces + 1)
        parts = [piece] * (pieces if pieces == 1 else pieces + 5)
        with listening() as told:
            async with Call(
                webhook_of(shop.runtime, shop.clock), f"/wechat/{SLUG}", query, parts
            ) as call:
                await call.answered()
        assert (call.status, call.body, call.read) == (413, b"", pieces)
        assert told.counted == {"too-large": 1}
        assert told.line()["outcome"] == "too-large"
        assert await nothing_stored(shop)

    async def test_exactly_the_limit_is_read(self, shop: Shop) -> None:
        query, _ = shop.sender.request("", shop.clock.now())
        for parts in ([b"x" * BODY_BYTES], [b"x" * (BODY_BYTES - 1), b"x"]):
            async with Call(
                webhook_of(shop.runtime, shop.clock), f"/wechat/{SLUG}", query, parts
            ) as call:
                await call.answered()
            assert (call.status, call.body) == (200, b"success")
        assert await shop.count(Quarantined) == 2

    async def test_a_sender_who_breaks_off(self, shop: Shop) -> None:
        query, body = shop.sender.request(
            shop.sender.text(openid(1), "hi", shop.clock.now()), shop.clock.now()
        )
        path = f"/wechat/{SLUG}"
        with listening() as told:
            async with Call(
                webhook_of(shop.runtime, shop.clock), path, query, [body], breaks_off=True
            ) as call:
                await call.answered()
        assert call.sent == []
        assert told.counted == {"silent": 1}
        assert await nothing_stored(shop)

    async def test_a_body_in_pieces_is_one_delivery(self, shop: Shop) -> None:
        query, body = shop.sender.request(
            shop.sender.text(openid(1), "hi", shop.clock.now()), shop.clock.now()
        )
        parts = [body[:7], b"", body[7:50], body[50:]]
        async with Call(
            webhook_of(shop.runtime, shop.clock), f"/wechat/{SLUG}", query, parts
        ) as call:
            await call.answered()
        assert value_of(call.body.decode(), "Content") == "hello"


class TestVerification:
    @pytest.fixture
    async def clock(self) -> FakeClock:
        return FakeClock(VECTOR_MOMENT)

    @pytest.mark.parametrize("name", ["verify_get", "verify_get_bad"])
    async def test_vectors(self, shop: Shop, name: str) -> None:
        vector = VECTORS[name]
        with listening() as told:
            response = await shop.http.get(f"/wechat/{SLUG}", params=vector["query"])
        assert response.status_code == vector["expect_status"]
        assert response.text == vector.get("expect_body", "")
        assert response.headers["content-type"].startswith("text/plain")
        good = vector["expect_status"] == 200
        assert told.counted == {"verified" if good else "bad-signature": 1}

    @pytest.mark.parametrize("echostr", [None, "", "<script>", "1 2", "1" * 257, "好"])
    async def test_an_echostr_that_a_browser_could_run(
        self, shop: Shop, echostr: str | None
    ) -> None:
        query = {k: v for k, v in VECTORS["verify_get"]["query"].items() if k != "echostr"}
        query |= {} if echostr is None else {"echostr": echostr}
        with listening() as told:
            response = await shop.http.get(f"/wechat/{SLUG}", params=query)
        assert (response.status_code, response.content) == (400, b"")
        assert told.counted == {"bad-echostr": 1}
        assert told.line()["outcome"] == "bad-echostr"

    async def test_an_account_without_original_id_is_verified(
        self, settings: Settings, clock: FakeClock
    ) -> None:
        async with open_shop(settings, clock, original_id=None) as shop:
            query = VECTORS["verify_get"]["query"]
            response = await shop.http.get(f"/wechat/{SLUG}", params=query)
            assert response.text == query["echostr"]


async def rotate(runtime: Runtime) -> None:
    """The account gets the key of the vectors; the one it had becomes the previous one."""
    account = runtime.accounts.by_slug(SLUG)
    assert account is not None
    await runtime.database.transaction(
        lambda tx: runtime.account_service.rotate_keys(
            tx, account.id, AccountKeys(aes_key=AES_KEY), actor=CLI
        )
    )
    await runtime.accounts.refresh()


class TestModes:
    """Every way in gives the answer back the same way."""

    @pytest.fixture
    async def clock(self) -> FakeClock:
        return FakeClock(VECTOR_MOMENT)

    @pytest.mark.parametrize(
        ("vector", "mode", "sealed_with"),
        [
            ("post_plain", "plain", None),
            ("post_plain", "compat", None),
            ("post_compatible", "compat", AES_KEY),
            ("post_safe", "safe", AES_KEY),
            ("post_previous_key", "safe", PREVIOUS_KEY),
            ("post_previous_key", "compat", PREVIOUS_KEY),
        ],
    )
    async def test_the_answer_is_sealed_with_the_key_that_opened(
        self,
        settings: Settings,
        clock: FakeClock,
        vector: str,
        mode: str,
        sealed_with: str | None,
    ) -> None:
        async with open_shop(
            settings,
            clock,
            prepare=rotate,
            mode=mode,
            original_id=SAMPLE_ACCOUNT,
            aes_key=PREVIOUS_KEY,
        ) as shop:
            found = VECTORS[vector]
            with listening() as told:
                response = await shop.http.post(
                    f"/wechat/{SLUG}",
                    params=found["query"],
                    content=read_bytes(found["body_file"]),
                )
            assert response.status_code == 200
            assert told.counted == {"answered": 1}
            assert [line for line in told.lines if line["log_level"] != "info"] == []
            assert response.headers["content-type"] == "text/xml; charset=utf-8"
            reader = Sender(safe=sealed_with is not None, aes_key=sealed_with or AES_KEY)
            assert ("<Encrypt>" in response.text) is reader.safe
            answer = reader.read(response.content)
            assert value_of(answer, "FromUserName") == SAMPLE_ACCOUNT
            assert answer == (await shop.rows(select(Receipt.answer)))[0].answer
            raw = (await shop.rows(select(Message.raw).where(Message.direction == "in")))[0].raw
            assert raw.strip() == read("msg_text.xml").strip()

    async def test_the_empty_success_goes_out_in_clear(self, safe_shop: Shop) -> None:
        with listening() as told:
            response = await safe_shop.post(
                safe_shop.sender.event(openid(1), "VIEW", safe_shop.clock.now(), EventKey="x")
            )
        assert (response.status_code, response.content) == (200, b"success")
        assert told.counted == {"empty": 1}

    async def test_sealing_twice_gives_the_same_answer_inside(self, safe_shop: Shop) -> None:
        xml = safe_shop.sender.text(openid(1), "hi", safe_shop.clock.now())
        one, two = await safe_shop.post(xml), await safe_shop.post(xml)
        assert one.content != two.content
        assert safe_shop.sender.read(one.content) == safe_shop.sender.read(two.content)


class TestOriginalId:
    async def test_the_first_delivery_teaches_it_and_others_are_refused(
        self, settings: Settings, clock: FakeClock
    ) -> None:
        async with open_shop(
            settings, clock, Extensions(routers=[router()]), original_id=None
        ) as shop:
            assert value_of(await shop.say("hi"), "Content") == "hello"
            account = shop.runtime.accounts.by_slug(SLUG)
            assert account is not None
            assert account.original_id == ORIGINAL_ID
            stranger = shop.sender.text(openid(2), "hi", clock.now())
            refused = await shop.post(stranger.replace(ORIGINAL_ID, "gh_other"))
            assert refused.status_code == 403
            assert await shop.count(Receipt) == 1

    async def test_of_two_first_deliveries_one_teaches(
        self, settings: Settings, clock: FakeClock
    ) -> None:
        async with open_shop(settings, clock, original_id=None) as shop:
            texts = [shop.sender.text(openid(n), "hi", clock.now()) for n in (1, 2)]
            responses = await asyncio.gather(
                shop.post(texts[0]), shop.post(texts[1].replace(ORIGINAL_ID, "gh_other"))
            )
            assert sorted(r.status_code for r in responses) == [200, 403]
            assert await shop.count(Receipt) == 1


class TestNotUnderstood:
    """200 and the empty success, the body in quarantine, staff told."""

    @pytest.mark.parametrize("safe", [False, True], ids=["plain", "safe"])
    @pytest.mark.parametrize("file", sorted(name for name, reason in HOSTILE.items() if reason))
    async def test_hostile_body(
        self, settings: Settings, clock: FakeClock, file: str, safe: bool
    ) -> None:
        mode = "safe" if safe else "plain"
        async with open_shop(settings, clock, mode=mode, original_id=SAMPLE_ACCOUNT) as shop:
            body = read(f"hostile/{file}")
            with listening() as told:
                response = await shop.post(body)
            assert (response.status_code, response.content) == (200, b"success")
            assert told.counted == {"quarantined": 1}
            line = told.line()
            assert (line["event"], line["reason"]) == ("webhook.not_understood", HOSTILE[file])
            kept = await shop.rows(select(Quarantined.reason, Quarantined.body))
            assert [(k.reason, bytes(k.body)) for k in kept] == [(HOSTILE[file], body.encode())]
            events = await shop.rows(select(EventRow.kind, EventRow.payload))
            assert [(e.kind, e.payload["reason"]) for e in events] == [
                ("quarantine.added", HOSTILE[file])
            ]
            assert await shop.count(Message) == 0
            assert await shop.count(Receipt) == 0

    async def test_blanks_alone_are_an_ordinary_text(
        self, settings: Settings, clock: FakeClock
    ) -> None:
        async with open_shop(settings, clock, original_id=SAMPLE_ACCOUNT) as shop:
            response = await shop.post(read("hostile/whitespace_only_content.xml"))
            assert response.status_code == 200
            assert await shop.count(Quarantined) == 0
            stored = await shop.rows(select(Message.kind, Message.text).where(Message.seq == 1))
            assert [tuple(row) for row in stored] == [("text", "")]

    @pytest.mark.parametrize(
        ("body", "reason"),
        [(b"\xff\xfe<xml/>", "not-utf8"), ("好".encode("gbk"), "not-utf8"), (b"\0", "nul")],
    )
    async def test_bytes_that_are_no_text(self, shop: Shop, body: bytes, reason: str) -> None:
        query, _ = shop.sender.request("", shop.clock.now())
        response = await shop.http.post(f"/wechat/{SLUG}?{query}", content=body)
        assert response.content == b"success"
        kept = await shop.rows(select(Quarantined.reason, Quarantined.body))
        assert [(k.reason, bytes(k.body)) for k in kept] == [(reason, body)]

    async def test_an_envelope_that_is_none_is_kept_as_it_came(self, safe_shop: Shop) -> None:
        query, _ = safe_shop.sender.request("<xml/>", safe_shop.clock.now())
        response = await safe_shop.http.post(f"/wechat/{SLUG}?{query}", content=b"<xml>")
        assert response.content == b"success"
        kept = await safe_shop.rows(select(Quarantined.reason, Quarantined.body))
        assert [(k.reason, bytes(k.body)) for k in kept] == [("not-xml", b"<xml>")]

    async def test_the_quarantine_of_an_account_is_bounded(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert quarantine.KEPT == 1000
        monkeypatch.setattr(quarantine, "KEPT", 5)
        other = await add_account(
            shop.runtime, "other", original_id="gh_other", appid="wx00000000000000bb"
        )
        await shop.post("<other>", slug="other")
        for number in range(12):
            await shop.post(f"<bad {number}")
        kept = await shop.rows(
            select(Quarantined.body)
            .where(Quarantined.account_id == shop.account_id)
            .order_by(Quarantined.id)
        )
        assert [bytes(k.body) for k in kept] == [f"<bad {n}".encode() for n in range(7, 12)]
        theirs = await shop.rows(select(Quarantined.id).where(Quarantined.account_id == other))
        assert len(theirs) == 1


class TestUnknown:
    @pytest.mark.parametrize(
        ("fields", "kind"),
        [
            ({"MsgType": "hologram", "Depth": "3", "MsgId": "77"}, "hologram"),
            ({"MsgType": "event", "Event": "moon_landing", "Depth": "3"}, "moon_landing"),
        ],
    )
    async def test_an_unknown_type_is_stored_whole_and_answered_empty(
        self, shop: Shop, fields: dict[str, str], kind: str
    ) -> None:
        xml = shop.sender.xml(openid(1), shop.clock.now(), **fields)
        with listening() as told:
            response = await shop.post(xml)
        assert (response.status_code, response.content) == (200, b"success")
        assert told.counted == {"empty": 1}
        told_of = await everything(shop)
        assert len(told_of) == 1
        assert kind in json.dumps(told_of[0], default=str)
        assert xml in (told_of[0].get("raw"), told_of[0].get("payload", {}).get("raw"))
        assert await shop.post(xml) is not None
        assert len(await everything(shop)) == 1


async def everything(shop: Shop) -> list[dict[str, Any]]:
    """Stored contacts of followers and reports of the platform."""
    contacts = await shop.rows(
        select(Message.kind, Message.body, Message.raw, Message.receipt_key).where(
            Message.direction == "in"
        )
    )
    reports = await shop.rows(
        select(EventRow.kind, EventRow.payload).where(EventRow.kind.startswith("platform."))
    )
    return [dict(row._mapping) for row in (*contacts, *reports)]


class TestSamples:
    @pytest.fixture
    async def clock(self) -> FakeClock:
        return FakeClock(VECTOR_MOMENT)

    async def test_every_sample_is_stored_once_and_never_a_fault(
        self, settings: Settings, clock: FakeClock
    ) -> None:
        """CS-2: a delivery is one message of a follower, or one report of the platform."""
        async with open_shop(settings, clock, original_id=SAMPLE_ACCOUNT) as shop:
            answered: set[str] = set()
            with listening() as told:
                for file in sorted(SAMPLES):
                    before = len(await everything(shop))
                    response = await shop.post(read(file))
                    assert response.status_code == 200, file
                    if response.content != b"success":
                        answered.add(file)
                    assert len(await everything(shop)) == before + 1, file
            assert not [line for line in told.lines if line["log_level"] in ("warning", "error")]
            assert told.counted == {"answered": len(answered), "empty": 98 - len(answered)}
            for file in answered:
                assert SAMPLES[file].answerable, file
            stored = await everything(shop)
            assert len(stored) == 98
            keys = {row.get("receipt_key") or row["payload"]["key"] for row in stored}
            assert keys == {expected.key for expected in SAMPLES.values()}
            reports = [row for row in stored if row["kind"].startswith("platform.")]
            assert len(reports) == sum(e.subject is None for e in SAMPLES.values())
            faults = select(EventRow.id).where(EventRow.kind == "fault.raised")
            assert await shop.rows(faults) == []
            assert await shop.count(Quarantined) == 0

    async def test_every_sample_repeated_changes_nothing(
        self, settings: Settings, clock: FakeClock
    ) -> None:
        async with open_shop(settings, clock, original_id=SAMPLE_ACCOUNT) as shop:
            files = sorted(SAMPLES)
            first = [(await shop.post(read(file))).content for file in files]
            before = await shop.count(Message), await shop.count(EventRow)
            clock.advance(seconds=5)
            assert [(await shop.post(read(file))).content for file in files] == first
            assert (await shop.count(Message), await shop.count(EventRow)) == before
            assert await shop.count(Receipt) == 98


class TestSilence:
    """No answer at all, and the connection held until the platform drops it."""

    async def test_a_fault_before_the_commit(self, shop: Shop) -> None:
        hook = webhook_of(_without_writer(shop.runtime), shop.clock)
        query, body = shop.sender.request(
            shop.sender.text(openid(1), "hi", shop.clock.now()), shop.clock.now()
        )
        with listening() as told:
            async with Call(hook, f"/wechat/{SLUG}", query, [body]) as call:
                await call.held()
                assert REGISTRY.get_sample_value("guanxi_webhook_held") == 1
                assert not call.over
        assert call.sent == []
        assert told.counted == {"silent": 1}
        assert told.line()["event"] == "webhook.fault"
        assert REGISTRY.get_sample_value("guanxi_webhook_held") == 0

    async def test_beyond_the_cap_503(self, shop: Shop) -> None:
        hook = webhook_of(_without_writer(shop.runtime), shop.clock, most_held=1)
        query, body = shop.sender.request(
            shop.sender.text(openid(1), "hi", shop.clock.now()), shop.clock.now()
        )
        async with Call(hook, f"/wechat/{SLUG}", query, [body]) as held:
            await held.held()
            with listening() as told:
                async with Call(hook, f"/wechat/{SLUG}", query, [body]) as second:
                    await second.answered()
            assert (second.status, second.body) == (503, b"")
            assert told.counted == {"overload": 1}
            held.drop()
            await held.answered()
            async with Call(hook, f"/wechat/{SLUG}", query, [body]) as third:
                await third.held()
        assert held.sent == third.sent == []

    async def test_a_process_that_ends_sends_no_byte(self, shop: Shop) -> None:
        hook = webhook_of(_without_writer(shop.runtime), shop.clock)
        query, body = shop.sender.request(
            shop.sender.text(openid(1), "hi", shop.clock.now()), shop.clock.now()
        )
        async with Call(hook, f"/wechat/{SLUG}", query, [body]) as call:
            await call.held()
            await call.cut_off()
        assert call.sent == []


class TestOverload:
    @pytest.mark.parametrize("full", [True, False], ids=["queue-full", "oldest-too-old"])
    async def test_what_is_too_much_is_not_queued(self, shop: Shop, full: bool) -> None:
        async def commit(*_: Any) -> Any:
            raise AssertionError("nobody runs this writer")

        writer: Writer[Any, Any] = Writer(commit, commit, shop.clock, capacity=1 if full else 1000)
        deadline = shop.clock.monotonic() + 4.5
        waiting = writer.submit("another", key="another", lane="another", deadline=deadline)
        if not full:
            shop.clock.advance(seconds=OLDEST_SECONDS + 0.1)
            assert writer.problem() is not None
        broken = _without_writer(shop.runtime)
        broken.writer = writer
        query, body = shop.sender.request(
            shop.sender.text(openid(1), "hi", shop.clock.now()), shop.clock.now()
        )
        with listening() as told:
            async with Call(
                webhook_of(broken, shop.clock), f"/wechat/{SLUG}", query, [body]
            ) as call:
                await call.held()
        assert call.sent == []
        assert told.counted == {"silent": 1}
        assert (told.line()["event"], told.line()["why"]) == ("webhook.silent", "OVERLOADED")
        assert len(writer) == 1
        waiting.cancel()


class _NoWriter:
    def submit(self, *_: object, **__: object) -> Any:
        raise RuntimeError("nobody writes")


def _without_writer(runtime: Runtime) -> Any:
    class Broken:
        accounts = runtime.accounts
        writer: Any = _NoWriter()
        deadline = runtime.deadline
        quarantine = runtime.quarantine

    return Broken()


def test_every_hostile_file_is_posted() -> None:
    assert {path.name for path in (FOLDER / "hostile").glob("*.xml")} == set(HOSTILE)
