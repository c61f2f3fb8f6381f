"""The group-commit writer against a commit that the test controls."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from app.core.clock import FakeClock
from app.db.writer import LATER, Expired, Later, Overloaded, Writer


class Commits:
    """Records batches; can wait at a gate, fail on poisoned items, or postpone held ones."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.poisoned: set[str] = set()
        self.held: set[str] = set()
        self.away = 0
        self.rescued: list[str] = []

    async def commit(self, items: Sequence[str]) -> list[str | Later]:
        self.batches.append(list(items))
        await self.gate.wait()
        if self.away:
            self.away -= 1
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error
        if self.poisoned & set(items):
            raise sqlite3.IntegrityError("poison")
        return [LATER if item in self.held else item.upper() for item in items]

    async def rescue(self, item: str, error: Exception) -> str:
        self.rescued.append(item)
        if item == "hopeless":
            raise error
        return f"sorry {item}"


@asynccontextmanager
async def running(
    commits: Commits, clock: FakeClock, **options: int
) -> AsyncIterator[Writer[str, str]]:
    writer: Writer[str, str] = Writer(commits.commit, commits.rescue, clock, **options)
    task = asyncio.ensure_future(writer.run())
    try:
        yield writer
    finally:
        task.cancel()


def put(
    writer: Writer[str, str], clock: FakeClock, item: str, lane: str = ""
) -> "asyncio.Future[str]":
    return writer.submit(item, key=item, lane=lane or item, deadline=clock.monotonic() + 4.5)


async def test_what_arrives_during_a_commit_is_the_next_batch(clock: FakeClock) -> None:
    commits = Commits()
    async with running(commits, clock) as writer:
        commits.gate.clear()
        first = put(writer, clock, "a")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        rest = [put(writer, clock, name) for name in "bcd"]
        commits.gate.set()
        assert await asyncio.gather(first, *rest) == ["A", "B", "C", "D"]
    assert commits.batches == [["a"], ["b", "c", "d"]]


async def test_one_of_a_lane_in_a_batch_and_in_order(clock: FakeClock) -> None:
    commits = Commits()
    async with running(commits, clock) as writer:
        jobs = [
            put(writer, clock, "a1", "a"),
            put(writer, clock, "a2", "a"),
            put(writer, clock, "b1", "b"),
            put(writer, clock, "a3", "a"),
        ]
        await asyncio.gather(*jobs)
    assert commits.batches == [["a1", "b1"], ["a2"], ["a3"]]


async def test_a_batch_has_a_limit(clock: FakeClock) -> None:
    commits = Commits()
    async with running(commits, clock, max_batch=2) as writer:
        await asyncio.gather(*(put(writer, clock, name) for name in "abcde"))
    assert commits.batches == [["a", "b"], ["c", "d"], ["e"]]


async def test_equal_keys_share_one_answer(clock: FakeClock) -> None:
    commits = Commits()
    async with running(commits, clock) as writer:
        first, again = put(writer, clock, "a"), put(writer, clock, "a")
        assert first is again
        assert await first == "A"
        assert await put(writer, clock, "a") == "A"
    assert commits.batches == [["a"], ["a"]]


async def test_a_poisoned_item_stands_alone_and_the_others_go_on(clock: FakeClock) -> None:
    commits = Commits()
    commits.poisoned = {"f"}
    async with running(commits, clock) as writer:
        answers = await asyncio.gather(*(put(writer, clock, name) for name in "abcdefgh"))
    assert answers == ["A", "B", "C", "D", "E", "sorry f", "G", "H"]
    assert commits.rescued == ["f"]
    assert commits.batches.count(["f"]) == 1


async def test_an_item_beyond_rescue_fails_alone(clock: FakeClock) -> None:
    commits = Commits()
    commits.poisoned = {"hopeless"}
    async with running(commits, clock) as writer:
        bad, good = put(writer, clock, "hopeless"), put(writer, clock, "good")
        with pytest.raises(sqlite3.IntegrityError):
            await bad
        assert await good == "GOOD"


async def test_a_database_that_is_away_is_waited_for_without_halving(clock: FakeClock) -> None:
    commits = Commits()
    commits.away = 3
    async with running(commits, clock) as writer:
        with capture_logs() as lines:
            answers = await asyncio.gather(*(put(writer, clock, name) for name in "ab"))
            await asyncio.sleep(0)
        assert answers == ["A", "B"]
        assert writer.problem() is None
        assert [line["event"] for line in lines] == [
            "writer.database_trouble",
            "writer.database_well",
        ]
    assert commits.batches == [["a", "b"] for _ in range(4)]
    assert commits.rescued == []


async def test_a_held_item_is_tried_again_and_keeps_its_place(clock: FakeClock) -> None:
    commits = Commits()
    commits.held = {"a1"}
    async with running(commits, clock) as writer:
        first, second = put(writer, clock, "a1", "a"), put(writer, clock, "a2", "a")
        other = put(writer, clock, "b1", "b")
        assert await other == "B1"
        commits.held.clear()
        assert await first == "A1"
        assert await second == "A2"
    order = [name for batch in commits.batches for name in batch if name.startswith("a")]
    assert order[-2:] == ["a1", "a2"]
    assert "a2" not in order[:-1]


async def test_past_its_deadline_an_item_is_dropped_unless_under_way(clock: FakeClock) -> None:
    commits = Commits()
    async with running(commits, clock) as writer:
        commits.gate.clear()
        under_way = put(writer, clock, "a")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        late = put(writer, clock, "b")
        clock.advance(seconds=5)
        commits.gate.set()
        assert await under_way == "A"
        with pytest.raises(Expired):
            await late
    assert commits.batches == [["a"]]


async def test_a_repeat_that_shares_the_future_brings_its_own_time(clock: FakeClock) -> None:
    """The platform asks again after five seconds; the first attempt's deadline is over then."""
    commits = Commits()
    async with running(commits, clock) as writer:
        commits.gate.clear()
        under_way = put(writer, clock, "a")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first = put(writer, clock, "b")
        clock.advance(seconds=5)
        again = put(writer, clock, "b")
        assert again is first
        commits.gate.set()
        assert await under_way == "A"
        assert await again == "B"


async def test_a_full_or_old_queue_takes_nothing_more(clock: FakeClock) -> None:
    commits = Commits()
    async with running(commits, clock, capacity=2) as writer:
        commits.gate.clear()
        waiting = [put(writer, clock, "a")]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting += [put(writer, clock, "b"), put(writer, clock, "c")]
        with pytest.raises(Overloaded):
            _ = put(writer, clock, "d")
        commits.gate.set()
        await asyncio.gather(*waiting)
        commits.gate.clear()
        _ = put(writer, clock, "e")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        _ = put(writer, clock, "f")
        clock.advance(seconds=3.6)
        with pytest.raises(Overloaded):
            _ = put(writer, clock, "g")
        commits.gate.set()


async def test_trouble_makes_unready_until_a_commit_succeeds_or_nothing_came_for_a_while(
    clock: FakeClock,
) -> None:
    """Without traffic nobody would notice that the database is well again."""
    commits = Commits()
    commits.away = 10_000
    async with running(commits, clock) as writer:
        lost = put(writer, clock, "a")
        while not commits.batches:  # noqa: ASYNC110  # a few turns of the loop
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert "busy, full or away" in str(writer.problem())
        clock.advance(seconds=5)
        with pytest.raises(Expired):
            await lost
        assert writer.problem() is not None
        clock.advance(seconds=10)
        assert writer.problem() is None


async def test_a_commit_that_does_not_end_makes_unready(clock: FakeClock) -> None:
    commits = Commits()
    commits.gate.clear()
    async with running(commits, clock) as writer:
        waiting = put(writer, clock, "a")
        while not commits.batches:  # noqa: ASYNC110  # a few turns of the loop
            await asyncio.sleep(0)
        clock.advance(seconds=3)
        assert writer.problem() is None
        clock.advance(seconds=1)
        assert "4.0 s" in str(writer.problem())
        commits.gate.set()
        assert await waiting == "A"
        await asyncio.sleep(0)
        assert writer.problem() is None
