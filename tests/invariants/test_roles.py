"""Web processes and workers apart, as they run beyond one machine."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.core.settings import Settings
from app.runtime import open_runtime
from tests.invariants.processes import after_lease, process, query
from tests.platform import Platform, platform
from tests.shop import add_account
from tests.wire import openid


@pytest.fixture
async def url(settings: Settings, on_postgres: bool) -> str:
    if not on_postgres:
        pytest.skip("on SQLite one process does both")
    async with open_runtime(settings) as runtime:
        await add_account(runtime)
    return settings.database_url


@pytest.fixture
async def api() -> AsyncIterator[Platform]:
    async with platform() as made:
        yield made


async def test_a_web_process_runs_the_apart_handlers_of_its_own_deliveries(
    url: str, api: Platform, tmp_path: Path
) -> None:
    async with process(tmp_path, "--url", url, "--api", api.base, "--role", "web") as web:
        await web.start("--seconds", "0.2")
        assert await web.say("sleep", 1, 1) == "slept"
        assert query(url, "SELECT state FROM job") == [("done",)]


async def test_what_a_web_process_is_late_with_a_worker_sends(
    url: str, api: Platform, tmp_path: Path
) -> None:
    shared = ("--url", url, "--api", api.base)
    async with process(tmp_path, *shared, "--role", "web") as web:
        await web.start("--seconds", "5")
        assert await web.say("sleep", 1, 1) == ""
        await web.until_stored(url, "SELECT 1 FROM outbound WHERE state = 'queued'")
        assert api.sent == []
        async with process(tmp_path, *shared, "--role", "worker") as worker:
            await worker.spawn()
            await api.until_sent(1, 40)
            assert api.texts(openid(1)) == ["slept"]
            assert await worker.terminate() < 10


async def test_a_worker_takes_over_from_a_web_process_that_was_killed(
    url: str, api: Platform, tmp_path: Path
) -> None:
    shared = ("--url", url, "--api", api.base)
    async with (
        process(tmp_path, *shared, "--role", "web") as web,
        process(tmp_path, *shared, "--role", "worker") as worker,
    ):
        await worker.spawn("--seconds", "0")
        await web.start("--seconds", "60")
        answer = asyncio.ensure_future(web.say("sleep", 1, 1))
        await web.until_stored(url, "SELECT 1 FROM job WHERE state = 'running'")
        await web.kill()
        assert await answer is None
        after_lease(url)
        await api.until_sent(1, 40)
        assert api.texts(openid(1)) == ["slept"]
        await web.start("--seconds", "60")
        assert await web.attempt(web.text("sleep", 1, 1)) == ""  # the platform's repeat
        assert len(query(url, "SELECT 1 FROM cs_message WHERE text = 'slept'")) == 1
