"""A plugin that blocks its process for good, in real processes: it is known afterwards, and the third
time it is switched off."""

import asyncio
import os
from pathlib import Path

import pytest

from app.core.settings import Settings
from app.runtime import open_runtime
from tests.conftest import KEY
from tests.invariants.processes import Process, query
from tests.shop import add_account

PLUGIN = """
import time
from app.plugins import Context, Decision, Keyword, Plugin, Router, Snapshot, TextReply

router = Router("stubborn")

@router.decide(Keyword("stuck"))
def stuck(snap: Snapshot) -> Decision:
    time.sleep(600)
    return Decision()

@router.apart(Keyword("block"))
async def block(ctx: Context) -> TextReply:
    time.sleep(600)
    return TextReply("never said")

@router.decide(Keyword("slow"))
def slow(snap: Snapshot) -> Decision:
    time.sleep(1.5)
    return Decision.say(TextReply("at last"))

@router.decide(Keyword("quick"))
def quick(snap: Snapshot) -> Decision:
    return Decision.say(TextReply("quick"))

plugin = Plugin(name="stubborn", api=1, routers=[router])
"""


@pytest.fixture
async def url(settings: Settings) -> str:
    async with open_runtime(settings) as runtime:
        await add_account(runtime)
    return settings.database_url


def serving(url: str, folder: Path) -> Process:
    """`python -m app serve` with the plugin beside it."""
    (folder / "stubborn_plugin.py").write_text(PLUGIN)
    environment = {
        "GUANXI_DATABASE_URL": url,
        "GUANXI_DATA_DIR": str(folder),
        "GUANXI_SECRET_KEY": KEY,
        "GUANXI_PLUGINS": "stubborn_plugin",
        "GUANXI_BLOCKED_SECONDS": "2",
        "GUANXI_LOG_FORMAT": "json",
        "GUANXI_WECHAT_API_BASE": "http://127.0.0.1:9",
        "PYTHONPATH": os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", ""))),
    }
    return Process(["serve"], folder, module="app", environment=environment)


def row(url: str) -> tuple[object, ...]:
    return (query(url, "SELECT failures, blocks, disabled_at IS NULL FROM plugin") or [()])[0]


async def until_blocks(url: str, number: int) -> None:
    async with asyncio.timeout(30):
        while row(url)[1:2] != (number,):  # noqa: ASYNC110  # another process counts
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("words", ["stuck", "block"])
async def test_the_third_block_for_good_switches_it_off(
    url: str, tmp_path: Path, words: str
) -> None:
    """`stuck` decides in the batch, in the writer's thread on SQLite; `block` is apart, on the loop."""
    server = serving(url, tmp_path)
    try:
        await server.start()
        for number in (1, 2, 3):
            assert await server.say(words, number, number) is None
            await until_blocks(url, number)
            await server.ready()
        failures, blocks, on = row(url)
        assert (failures, blocks, bool(on)) == (3, 3, False)
        named = server.lines("loop.given_up")
        assert [line["plugin"] for line in named] == ["stubborn"] * 3
        (alert,) = server.lines("plugin.disabled")
        assert "3 times" in alert["reason"]
        assert "没听懂" in (await server.say("quick", 9, 9) or "")
        assert list((tmp_path / "plugin-blocks").iterdir()) == []
    finally:
        await server.kill()


async def test_one_that_comes_to_an_end_is_a_failure_and_no_more(url: str, tmp_path: Path) -> None:
    server = serving(url, tmp_path)
    try:
        await server.start()
        assert await server.say("slow", 1, 1) == "at last"
        async with asyncio.timeout(10):
            while not row(url):  # noqa: ASYNC110  # another process counts
                await asyncio.sleep(0.1)
        failures, blocks, on = row(url)
        assert (failures, blocks, bool(on)) == (1, 0, True)
        assert server.lines("loop.blocked")[0]["plugin"] == "stubborn"
        assert await server.say("quick", 2, 2) == "quick"
    finally:
        await server.kill()
