import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import select

from app.core.clock import FakeClock, to_millis
from app.core.vault import Vault
from app.db.database import Database
from app.db.tx import Tx
from app.wechat import tokens as tokens_module
from app.wechat.errors import WechatError
from app.wechat.failures import NotReached, OutcomeUnknown, TokenUnavailable
from app.wechat.http import open_http
from app.wechat.models import WechatToken
from app.wechat.token_store import SqlTokenStore
from app.wechat.tokens import AccountKeys, Tokens

ACCOUNT = AccountKeys(account_id=1, appid="wx1", secret="s3cret")
BASE = "http://platform"


@dataclass
class Platform:
    """`stable_token` as protocol 4.1 describes it."""

    clock: FakeClock

    def __post_init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.number = 0
        self.expires_at = 0
        self.fail: Callable[[], httpx.Response] | None = None
        self.pause = 0.0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        body = orjson.loads(request.content)
        self.calls.append(body)
        await asyncio.sleep(self.pause)
        if self.fail is not None:
            return self.fail()
        now = to_millis(self.clock.now())
        if body["force_refresh"] or self.expires_at - now <= 300_000:
            self.number += 1
            self.expires_at = now + 7_200_000
        left = (self.expires_at - now) // 1000
        return httpx.Response(
            200, json={"access_token": f"token-{self.number}", "expires_in": left}
        )


@pytest.fixture
def platform(clock: FakeClock) -> Platform:
    return Platform(clock)


class Processes:
    """Several processes' views of the same row."""

    def __init__(self, database: Database, platform: Platform, clock: FakeClock) -> None:
        self.database, self.clock = database, clock
        self.store = SqlTokenStore(database, Vault("k" * 32))
        self.http = open_http(httpx.MockTransport(platform))

    def another(self) -> Tokens:
        return Tokens(self.http, BASE + "/", self.store, self.clock)

    async def row(self) -> Any:
        async def work(tx: Tx) -> Any:
            return await tx.first(select(WechatToken.__table__))

        return await self.database.read(work)


@pytest.fixture
def processes(database: Database, platform: Platform, clock: FakeClock) -> Processes:
    return Processes(database, platform, clock)


async def test_the_first_one_asks_and_others_read(processes: Processes, platform: Platform) -> None:
    first, second = processes.another(), processes.another()
    assert await first.get(ACCOUNT) == "token-1"
    assert await second.get(ACCOUNT) == "token-1"
    assert await first.get(ACCOUNT) == "token-1"
    assert platform.calls == [
        {
            "grant_type": "client_credential",
            "appid": "wx1",
            "secret": "s3cret",
            "force_refresh": False,
        }
    ]


async def test_the_row_is_not_legible_and_bound_to_its_account(processes: Processes) -> None:
    await processes.another().get(ACCOUNT)
    row = await processes.row()
    assert b"token-1" not in bytes(row.ciphertext)
    assert (row.version, row.lease_holder) == (1, None)
    assert row.expires_at == to_millis(processes.clock.now()) + 7_200_000


@pytest.mark.parametrize("separate", [True, False], ids=["8 processes", "8 tasks of one"])
async def test_eight_at_once_make_one_call(
    processes: Processes, platform: Platform, separate: bool
) -> None:
    platform.pause = 0.1
    shared = processes.another()
    all_of_them = [processes.another() if separate else shared for _ in range(8)]
    got = await asyncio.gather(*[tokens.get(ACCOUNT) for tokens in all_of_them])
    assert got == ["token-1"] * 8
    assert len(platform.calls) == 1


async def test_before_its_end_it_is_renewed_and_used_until_then(
    processes: Processes, platform: Platform
) -> None:
    """Between ten and five minutes before the end the platform gives the same token."""
    first, second = processes.another(), processes.another()
    await first.get(ACCOUNT)
    processes.clock.advance(minutes=109)
    assert await first.get(ACCOUNT) == "token-1"
    assert len(platform.calls) == 1
    processes.clock.advance(minutes=2)
    for tokens in (first, second, first):
        assert await tokens.get(ACCOUNT) == "token-1"
    assert len(platform.calls) == 2, "asked once, and not again for a while"
    processes.clock.advance(minutes=5)
    assert await second.get(ACCOUNT) == "token-2"
    assert await first.get(ACCOUNT) == "token-2"
    assert len(platform.calls) == 3


async def test_a_failed_renewal_does_not_matter_while_the_old_one_works(
    processes: Processes, platform: Platform
) -> None:
    tokens = processes.another()
    await tokens.get(ACCOUNT)
    processes.clock.advance(minutes=111)
    platform.fail = lambda: httpx.Response(502)
    assert await tokens.get(ACCOUNT) == "token-1"
    processes.clock.advance(minutes=10)
    with pytest.raises(OutcomeUnknown):
        await tokens.get(ACCOUNT)
    with pytest.raises(TokenUnavailable, match="just failed"):
        await processes.another().get(ACCOUNT)
    platform.fail = None
    processes.clock.advance(seconds=2)
    assert await tokens.get(ACCOUNT) == "token-2"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(200, json={"errcode": 40125, "errmsg": "invalid appsecret"}), WechatError),
        (httpx.Response(200, json={"access_token": "x"}), OutcomeUnknown),
        (httpx.Response(200, json={"access_token": "x", "expires_in": "soon"}), OutcomeUnknown),
        (httpx.Response(200, text="<html>"), OutcomeUnknown),
    ],
)
async def test_failures_of_asking_are_told_and_the_lease_is_given_back(
    processes: Processes, platform: Platform, answer: httpx.Response, error: type[Exception]
) -> None:
    platform.fail = lambda: answer
    with pytest.raises(error):
        await processes.another().get(ACCOUNT)
    assert (await processes.row()).lease_holder is None


async def test_a_process_that_dies_while_asking_holds_others_for_its_lease_only(
    processes: Processes, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens_module, "WAIT_SECONDS", 0.1)
    now = to_millis(processes.clock.now())
    assert await processes.store.lease(1, "dead", now, now + 15_000)
    assert not await processes.store.lease(1, "other", now, now + 15_000)
    with pytest.raises(TokenUnavailable, match="another process is still asking"):
        await processes.another().get(ACCOUNT)
    processes.clock.advance(seconds=15)
    assert await processes.another().get(ACCOUNT) == "token-1"
    await processes.store.release(1, "dead", now + 10**9)
    assert (await processes.row()).lease_until <= to_millis(processes.clock.now())


async def test_a_cancelled_request_gives_the_lease_back(
    processes: Processes, platform: Platform
) -> None:
    platform.pause = 30
    task = asyncio.create_task(processes.another().get(ACCOUNT))
    async with asyncio.timeout(5):
        while not platform.calls:  # noqa: ASYNC110  # set by the transport
            await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await processes.row()).lease_holder is None


class TestRefusedTokens:
    async def test_another_process_has_replaced_it_already(
        self, processes: Processes, platform: Platform
    ) -> None:
        old, other = processes.another(), processes.another()
        await old.get(ACCOUNT)
        platform.expires_at = 0  # somebody revoked it: normal mode gives a new one
        await other.get(ACCOUNT)
        assert await other.replace(ACCOUNT, "token-1") == "token-2"
        assert await old.replace(ACCOUNT, "token-1") == "token-2"
        assert await old.replace(ACCOUNT, "token-1") == "token-2"
        assert [c["force_refresh"] for c in platform.calls] == [False, False]

    async def test_it_is_forced_when_the_same_one_comes_back(
        self, processes: Processes, platform: Platform
    ) -> None:
        tokens = processes.another()
        await tokens.get(ACCOUNT)
        assert await tokens.replace(ACCOUNT, "token-1") == "token-2"
        assert [c["force_refresh"] for c in platform.calls] == [False, False, True]

    async def test_at_most_ten_times_a_day_by_beijings_calendar(
        self, processes: Processes, platform: Platform
    ) -> None:
        """The clock starts at noon in Beijing; its midnight is twelve hours later."""
        tokens = processes.another()
        token = await tokens.get(ACCOUNT)
        for _ in range(10):
            token = await tokens.replace(ACCOUNT, token)
        with pytest.raises(TokenUnavailable, match="10 forced refreshes"):
            await tokens.replace(ACCOUNT, token)
        row = await processes.row()
        assert (row.forced_on, row.forced_count) == ("2026-01-01", 10)
        processes.clock.advance(hours=12)
        platform.expires_at = to_millis(processes.clock.now() + timedelta(hours=1))
        assert await tokens.replace(ACCOUNT, token) == "token-12"
        row = await processes.row()
        assert (row.forced_on, row.forced_count) == ("2026-01-02", 1)

    async def test_many_who_were_refused_replace_it_once(
        self, processes: Processes, platform: Platform
    ) -> None:
        all_of_them = [processes.another() for _ in range(6)]
        await asyncio.gather(*[t.get(ACCOUNT) for t in all_of_them])
        got = await asyncio.gather(*[t.replace(ACCOUNT, "token-1") for t in all_of_them])
        assert set(got) == {"token-2"}
        assert [c["force_refresh"] for c in platform.calls] == [False, False, True]


async def test_an_unreachable_platform(processes: Processes) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    http = open_http(httpx.MockTransport(refuse))
    with pytest.raises(NotReached, match="ConnectError"):
        await Tokens(http, BASE, processes.store, processes.clock).get(ACCOUNT)
