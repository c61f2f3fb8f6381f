import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg
import pytest

from app.core.settings import Settings
from app.db.wake import MOST_BYTES, Wake, listen_url


@asynccontextmanager
async def running(*wakes: Wake) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(wake.run()) for wake in wakes]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # set by callbacks and by other connections
            await asyncio.sleep(0.005)


async def test_hints_reach_subscribers_in_the_process(settings: Settings) -> None:
    wake, seen = Wake(None), list[str]()
    wake.subscribe("jobs", seen.append)
    wake.subscribe("other", lambda _: seen.append("wrong"))
    wake.hint("jobs", "before it runs")
    async with running(wake):
        await until(lambda: seen == ["before it runs"])
        for _ in range(5):
            await asyncio.to_thread(wake.hint, "jobs", "from a thread")
        await until(lambda: "from a thread" in seen)
        wake.hint("nobody")
    wake.hint("jobs", "after it ran")


async def test_equal_hints_are_told_once(settings: Settings) -> None:
    wake, seen = Wake(None), list[str]()
    wake.subscribe("jobs", seen.append)
    for _ in range(100):
        wake.hint("jobs")
    wake.hint("jobs", "x")
    async with running(wake):
        await until(lambda: len(seen) == 2)
    assert seen == ["", "x"]


async def test_a_failing_subscriber_does_not_silence_the_others(settings: Settings) -> None:
    wake, seen = Wake(None), list[str]()

    def fails(payload: str) -> None:
        raise RuntimeError(payload)

    wake.subscribe("jobs", fails)
    wake.subscribe("jobs", seen.append)
    async with running(wake):
        wake.hint("jobs", "x")
        await until(lambda: seen == ["x"])


def test_what_postgresql_would_not_carry_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        Wake(None).hint("jobs", "客" * (MOST_BYTES // 3))


def test_where_to_listen(settings: Settings) -> None:
    on = settings.model_copy
    assert listen_url(on(update={"database_url": "sqlite:///x"})) is None
    pooled = on(update={"database_url": "postgresql://pool/x", "database_listen_url": ""})
    assert listen_url(pooled) == "postgresql://pool/x"
    direct = pooled.model_copy(update={"database_listen_url": "postgresql://direct/x"})
    assert listen_url(direct) == "postgresql://direct/x"


class TestOnPostgres:
    @pytest.fixture(autouse=True)
    def _only_there(self, on_postgres: bool) -> None:
        if not on_postgres:
            pytest.skip("NOTIFY is PostgreSQL's")

    async def test_hints_reach_other_processes_and_not_their_sender_twice(
        self, database_url: str
    ) -> None:
        here, there = Wake(database_url), Wake(database_url)
        seen_here, seen_there = list[str](), list[str]()
        here.subscribe("jobs", seen_here.append)
        there.subscribe("jobs", seen_there.append)
        async with running(here, there):
            await until(lambda: here.listening.is_set() and there.listening.is_set())
            await until(lambda: seen_here == [""] and seen_there == [""])
            here.hint("jobs", "客户 7")
            await until(lambda: seen_there == ["", "客户 7"])
            there.hint("jobs", "back")
            await until(lambda: seen_here == ["", "客户 7", "back"])

    async def test_a_lost_connection_is_made_anew_and_subscribers_look_again(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("app.db.wake.RECONNECT_SECONDS", 0.01)
        wake, seen = Wake(database_url), list[str]()
        wake.subscribe("jobs", seen.append)
        async with running(wake):
            await until(lambda: seen == [""])
            await cut_all_others(database_url)
            await until(lambda: seen == ["", ""] and wake.listening.is_set())
            wake.hint("jobs", "still here")
            await until(lambda: "still here" in seen)

    async def test_a_quiet_connection_is_asked_whether_it_lives(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("app.db.wake.ALIVE_SECONDS", 0.02)
        one, other = Wake(database_url), Wake(database_url)
        seen = list[str]()
        one.subscribe("jobs", seen.append)
        async with running(one, other):
            await until(one.listening.is_set)
            await asyncio.sleep(0.1)
            other.hint("jobs", "x")
            await until(lambda: "x" in seen)


async def cut_all_others(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
