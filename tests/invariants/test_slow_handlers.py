"""Handlers that wait, hold locks, block or die, in real processes: nobody else is kept waiting."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.core.settings import Settings
from app.runtime import open_runtime
from tests.invariants.processes import Process, after_lease, process, query
from tests.platform import Platform, platform
from tests.shop import add_account
from tests.wire import openid

OTHERS = 200
AT_ONCE = 8
MOST_P99_SECONDS = 0.5


@pytest.fixture
async def url(settings: Settings) -> str:
    async with open_runtime(settings) as runtime:
        await add_account(runtime)
    return settings.database_url


@pytest.fixture
async def api() -> AsyncIterator[Platform]:
    async with platform() as made:
        yield made


async def others(server: Process) -> float:
    """200 other followers write, eight at a time; the 99th percentile of what they wait."""
    waited: list[float] = []
    numbers = iter(range(1000, 1000 + OTHERS))

    async def client() -> None:
        for number in numbers:
            began = time.monotonic()
            answer = await server.say(f"quick {number}", number, number)
            waited.append(time.monotonic() - began)
            assert answer == f"answer to quick {number}"

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    assert len(waited) == OTHERS
    return sorted(waited)[int(OTHERS * 0.99)]


async def measured(server: Process, what: str) -> None:
    """The issue asks for this figure; it is the one time that a test asserts."""
    p99 = await others(server)
    print(f"p99 of {OTHERS} others beside a handler that {what}: {p99 * 1000:.0f} ms")
    assert p99 < MOST_P99_SECONDS


async def test_others_do_not_wait_for_one_that_waits_and_a_kill_loses_nothing(
    url: str, api: Platform, tmp_path: Path
) -> None:
    async with process(tmp_path, "--url", url, "--api", api.base) as server:
        await server.start("--seconds", "10")
        first = asyncio.ensure_future(server.say("sleep", 1, 1))
        await asyncio.sleep(0.2)
        await measured(server, "waits 10 s")
        assert await first in ("", None)
        assert api.sent == []
        await server.kill()
        await server.start("--seconds", "0")
        after_lease(url)
        await api.until_sent(1, 40)
        assert api.texts(openid(1)) == ["slept"]
        assert await server.attempt(server.text("sleep", 1, 1)) in ("", "slept")
        assert len(query(url, "SELECT 1 FROM cs_message WHERE text = 'slept'")) == 1


async def test_a_kill_before_the_door_is_closed_loses_nothing_either(
    url: str, api: Platform, tmp_path: Path
) -> None:
    """The platform heard nothing, repeats, and the answer comes once."""
    async with process(tmp_path, "--url", url, "--api", api.base) as server:
        await server.start("--seconds", "10")
        xml = server.text("sleep", 1, 1)
        first = asyncio.ensure_future(server.attempt(xml))
        await server.until_stored(url, "SELECT 1 FROM job WHERE state = 'running'")
        await server.kill()
        assert await first is None
        await server.start("--seconds", "0.5")
        repeat = asyncio.ensure_future(server.attempt(xml))
        after_lease(url)
        passive = await repeat
        if passive != "slept":
            await api.until_sent(1, 40)
        heard = [passive] if passive else api.texts(openid(1))
        assert heard == ["slept"]


async def test_others_do_not_wait_for_one_that_holds_a_transaction(
    url: str, api: Platform, tmp_path: Path
) -> None:
    """It is refused at once, and apologised for."""
    async with process(tmp_path, "--url", url, "--api", api.base) as server:
        await server.start("--seconds", "10")
        slow = asyncio.ensure_future(server.say("transaction", 1, 1))
        await measured(server, "tries to hold a transaction")
        answer = await slow
        assert answer is not None
        assert "抱歉" in answer
        assert len(server.lines("handler.failed")) == 1
        assert "AwaitedOutside" in server.lines("handler.failed")[0]["exception"]


async def test_others_do_not_wait_for_one_that_holds_its_followers_row(
    url: str, api: Platform, tmp_path: Path, on_postgres: bool
) -> None:
    """By a connection of its own, past everything that would refuse it."""
    if not on_postgres:
        pytest.skip("SQLite has no row locks")
    async with process(tmp_path, "--url", url, "--api", api.base) as server:
        await server.start("--seconds", "10")
        slow = asyncio.ensure_future(server.say("lock", 1, 1))
        await asyncio.sleep(0.5)
        same = asyncio.ensure_future(server.say("quick same", 1, 2))
        await measured(server, "holds its follower's row for 10 s")
        assert await same is None  # the platform asks again
        assert await slow in ("", None)
        await api.until_sent(1, 40)
        assert api.texts(openid(1)) == ["unlocked"]
        assert await server.say("quick same", 1, 2) == "answer to quick same"


@pytest.mark.parametrize("words", ["block", "stuck"])
async def test_one_that_blocks_is_named_and_the_process_replaced(
    url: str, api: Platform, tmp_path: Path, words: str
) -> None:
    """`block` is an apart handler, `stuck` decides inside the batch."""
    async with process(tmp_path, "--url", url, "--api", api.base, "--supervised") as server:
        await server.start("--blocked-seconds", "2")
        assert await server.say(words, 1, 1) is None
        await server.until_logged("serve.process_died")
        named = server.lines("loop.blocked")[0]
        assert "time.sleep(FOREVER)" in named["stack"]
        assert ("blocker" if words == "block" else "stuck") in named["stack"]
        assert len(server.lines("loop.given_up")) >= 1
        assert server.lines("serve.process_died")[0]["exit_code"] == 70
        if words == "block":  # the delivery is stored: it is asked once more, then apologised for
            async with asyncio.timeout(90):
                while not api.sent:
                    after_lease(url)
                    await asyncio.sleep(0.5)
            assert "抱歉" in api.texts(openid(1))[0]
            assert len(server.lines("loop.given_up")) == 2
        await server.ready()
        assert await server.say("quick", 2, 2) == "answer to quick"
