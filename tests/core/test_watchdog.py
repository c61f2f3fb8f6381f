"""Blocked threads are named with their stack, and a process blocked for good is ended."""

import asyncio
import threading
import time

import pytest
from structlog.testing import capture_logs

from app.core import watchdog
from app.core.watchdog import Watchdog, WatchedThread


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "NAMED_AFTER_SECONDS", 0.1)
    monkeypatch.setattr(watchdog, "BEAT_SECONDS", 0.01)


async def watched(dog: Watchdog, blocking: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(dog.run())
        await blocking.wait()
        running.cancel()


async def test_a_blocked_loop_is_named_once_and_not_ended_in_time() -> None:
    ended: list[bool] = []
    done = asyncio.Event()
    with capture_logs() as lines:
        async with asyncio.TaskGroup() as group:
            group.create_task(watched(Watchdog(5, end=lambda: ended.append(True)), done))
            await asyncio.sleep(0.05)
            time.sleep(0.3)  # noqa: ASYNC251  # what is to be noticed
            done.set()
    assert [line["event"] for line in lines] == ["loop.blocked"]
    assert lines[0]["thread"] == "loop"
    assert "time.sleep(0.3)" in lines[0]["stack"]
    assert ended == []


async def test_a_blocked_thread_ends_the_process() -> None:
    """The loop goes on beating meanwhile."""
    ended, free = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    turns = WatchedThread("writer")

    def stuck() -> None:
        turns.begin()
        free.wait(10)
        turns.end()

    thread = threading.Thread(target=stuck)
    thread.start()

    def end() -> None:
        loop.call_soon_threadsafe(ended.set)

    dog = Watchdog(0.3, [turns], end)
    with capture_logs() as lines:
        await asyncio.wait_for(watched(dog, ended), 10)
    free.set()
    thread.join()
    assert [line["event"] for line in lines] == ["loop.blocked", "loop.given_up"]
    assert {line["thread"] for line in lines} == {"writer"}
    assert "free.wait(10)" in lines[1]["stack"]


async def test_turns_that_end_are_no_trouble() -> None:
    turns = WatchedThread("writer")
    done = asyncio.Event()
    with capture_logs() as lines:
        async with asyncio.TaskGroup() as group:
            group.create_task(watched(Watchdog(0.2, [turns], end=done.set), done))
            for _ in range(30):
                turns.begin()
                await asyncio.sleep(0.01)
                turns.end()
            assert not done.is_set()
            done.set()
    assert lines == []
