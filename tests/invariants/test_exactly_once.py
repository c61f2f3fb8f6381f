"""Promises 1 and 2: nothing acknowledged is lost, one effect and one answer per delivery."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select

from app.core.settings import Settings
from app.db.database import sync_url
from app.db.migrate import migration_engine
from app.db.receipts import Receipt
from app.engines.support.models import Message
from app.runtime import open_runtime
from tests.invariants import dialogue
from tests.invariants.dialogue import in_dialogue
from tests.invariants.effects import COUNTER, TAG, make_tables
from tests.invariants.fire import FOLLOWERS, Fire, Log, Server
from tests.invariants.variants import extensions
from tests.shop import add_account


@dataclass(frozen=True)
class Size:
    deliveries: int
    kills: int
    processes: int


@pytest.fixture
def size(request: pytest.FixtureRequest, on_postgres: bool) -> Size:
    processes = 4 if on_postgres else 1
    if request.config.getoption("--long"):
        return Size(20_000, 20, processes)
    return Size(2_000, 4, processes)


@pytest.fixture
async def url(settings: Settings) -> str:
    """A database with the account and the tables that the effects write."""
    engine = migration_engine(settings.database_url)
    with engine.connect() as connection:
        make_tables(connection)
        connection.commit()
    engine.dispose()
    async with open_runtime(settings, extensions=extensions("sound")) as runtime:
        account = await add_account(runtime, mode="safe")
        await dialogue.write_flow(runtime, account)
    return settings.database_url


async def under_fire(url: str, folder: Path, variant: str, size: Size) -> tuple[Log, list[str]]:
    """Runs the crowd against a variant; the client's log and every broken promise found."""
    servers = [Server(url, variant, folder) for _ in range(size.processes)]
    try:
        log = await Fire(servers, size.deliveries, size.kills, seed=7).run()
    finally:
        for server in servers:
            await server.kill()
    return log, verdict(url, log)


def verdict(url: str, log: Log) -> list[str]:
    """What the client's log and the database disagree on. The client is the judge."""
    engine = create_engine(sync_url(url))
    with engine.connect() as db:
        stored = {row.key: row.answer for row in db.execute(select(Receipt.key, Receipt.answer))}
        inbound = Counter(
            db.scalars(select(Message.receipt_key).where(Message.receipt_key.is_not(None)))
        )
        tags = Counter(db.scalars(select(TAG.c.key)))
        owner = dict(
            db.execute(
                select(Message.receipt_key, Message.follower_id).where(
                    Message.receipt_key.is_not(None)
                )
            ).all()
        )
        counted = dict(db.execute(select(COUNTER.c.follower_id, COUNTER.c.n)).all())
        broken = dialogue.verdict(db)
    engine.dispose()
    for number, answers in log.answers.items():
        key = f"w:m:{number}"
        if len(set(answers)) != 1:
            broken.append(f"{key}: {len(set(answers))} different answers")
        if stored.get(key) is None or f"200 {stored[key]}" not in answers:
            broken.append(f"{key}: answered, but not what is stored")
        if inbound[key] != 1:
            broken.append(f"{key}: {inbound[key]} messages")
        if tags[key] != 1 and not in_dialogue(number % FOLLOWERS):
            broken.append(f"{key}: tagged {tags[key]} times")
    expected = Counter(owner[key] for key in stored if key in owner)
    answered = {owner[key] for key in owner if not in_dialogue(int(str(key)[4:]) % FOLLOWERS)}
    for follower in answered:
        times = expected[follower]
        if counted.get(follower) != times:
            broken.append(
                f"follower {follower}: {times} deliveries, counted {counted.get(follower)}"
            )
    if len(expected) != FOLLOWERS:
        broken.append(f"{len(expected)} followers instead of {FOLLOWERS}")
    return broken


async def test_nothing_is_lost_and_nothing_happens_twice(
    url: str, tmp_path: Path, size: Size
) -> None:
    log, broken = await under_fire(url, tmp_path, "sound", size)
    assert broken == []
    assert len(log.answers) >= size.deliveries
    assert all(answers for answers in log.answers.values())
    assert log.kills == size.kills
    assert min(log.at_kills) >= 16
    repeated = sum(len(answers) > 1 for answers in log.answers.values())
    assert repeated >= 0.25 * len(log.answers)


@pytest.mark.parametrize("variant", ["receipt-apart", "read-first", "answers-first", "flows-apart"])
async def test_a_broken_intake_is_noticed(
    url: str, tmp_path: Path, variant: str, on_postgres: bool
) -> None:
    if variant == "read-first" and not on_postgres:
        pytest.skip(
            "SQLite's write lock is taken before any read, so this break cannot be made there"
        )
    size = Size(1_000, 4 if variant != "read-first" else 0, 4 if on_postgres else 1)
    _, broken = await under_fire(url, tmp_path, variant, size)
    assert broken != []
    if variant == "flows-apart":
        assert any("stands at" in one for one in broken), "a dialogue was left behind"
