"""SIGTERM: what is under way finishes, what is held gets no byte, all is over within ten seconds."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, text

from app.core.settings import Settings
from app.db.database import sync_url
from app.runtime import open_runtime
from tests.conftest import KEY
from tests.invariants.processes import Process, process, query
from tests.shop import add_account


@pytest.fixture
async def url(settings: Settings) -> str:
    async with open_runtime(settings) as runtime:
        await add_account(runtime)
    return settings.database_url


def lock(url: str) -> Any:
    """Another process's lock on everything a delivery writes; `close` ends it."""
    engine = create_engine(sync_url(url), poolclass=NullPool)
    connection = engine.connect()
    if url.startswith("sqlite"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(text("LOCK TABLE receipt IN ACCESS EXCLUSIVE MODE"))
    return connection


async def test_the_real_server(url: str, tmp_path: Path) -> None:
    environment = {
        "GUANXI_DATABASE_URL": url,
        "GUANXI_SECRET_KEY": KEY,
        "GUANXI_DATA_DIR": str(tmp_path),
        "GUANXI_LOG_FORMAT": "json",
        "GUANXI_WECHAT_API_BASE": "http://127.0.0.1:9",
    }
    server = Process(["serve"], tmp_path, "app", environment)
    try:
        await server.start()
        assert await server.say("first", 1, 1)
        locked = lock(url)
        held = asyncio.ensure_future(server.attempt(server.text("held", 2, 2), seconds=30))
        await server.until_logged("webhook.silent")
        under_way = asyncio.ensure_future(server.say("under way", 3, 3))
        await asyncio.sleep(0.5)
        ended = asyncio.ensure_future(server.terminate())
        await asyncio.sleep(0.5)
        locked.close()
        assert await under_way  # committed and answered, although the process is about to end
        assert await held is None
        assert await ended < 10
        assert server.started is not None
        assert server.started.returncode == 0
        assert server.lines("serve.process_killed") == []
        assert len(server.lines("webhook.dropped")) == 1
        assert "Traceback" not in server.log.read_text()
        keys = {row[0] for row in query(url, "SELECT key FROM receipt")}
        assert keys >= {"w:m:1", "w:m:3"}
    finally:
        await server.kill()


async def test_a_handler_in_time_still_answers(url: str, tmp_path: Path) -> None:
    async with process(tmp_path, "--url", url) as server:
        await server.start("--seconds", "2")
        answer = asyncio.ensure_future(server.say("sleep", 1, 1))
        await server.until_stored(url, "SELECT 1 FROM job WHERE state = 'running'")
        ended = asyncio.ensure_future(server.terminate())
        assert await answer == "slept"
        assert await ended < 10


async def test_one_that_is_not_done_by_then_is_left_to_the_next_process(
    url: str, tmp_path: Path
) -> None:
    async with process(tmp_path, "--url", url) as server:
        await server.start("--seconds", "60")
        answer = asyncio.ensure_future(server.say("sleep", 1, 1))
        await server.until_stored(url, "SELECT 1 FROM job WHERE state = 'running'")
        assert await server.terminate() < 10
        assert await answer == ""
        jobs = query(url, "SELECT state FROM job WHERE task = 'conversation.answer_apart'")
        assert jobs == [("ready",)]
        assert query(url, "SELECT 1 FROM slot") == []
