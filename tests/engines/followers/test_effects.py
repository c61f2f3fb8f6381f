import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import insert, select

from app.core.clock import FakeClock
from app.core.decisions import Effect
from app.core.ids import FollowerId, Ids
from app.db.database import Database
from app.db.effects import EffectKinds
from app.db.tx import Tx
from app.engines.followers.effects import TagFollower, TagKind, UntagFollower, UntagKind
from app.engines.followers.models import Follower, FollowerTag, Tag

ANN, BOB, EVE = FollowerId(11), FollowerId(12), FollowerId(21)
"""The first two follow account 1, the third account 2."""


@pytest.fixture
async def people(database: Database, clock: FakeClock) -> Database:
    async def work(tx: Tx) -> None:
        for follower in (ANN, BOB, EVE):
            await tx.run(
                insert(Follower).values(
                    id=follower,
                    account_id=follower // 10,
                    openid=f"o{follower}",
                    held=0,
                    seen_at=clock.now(),
                )
            )

    await database.transaction(work)
    return database


@pytest.fixture
def kinds(ids: Ids, clock: FakeClock) -> tuple[TagKind, UntagKind]:
    return TagKind(ids, clock), UntagKind(ids, clock)


def tag(follower: FollowerId, name: str, key: str = "w:m:1") -> TagFollower:
    return TagFollower(follower, name, key)


async def worn(database: Database) -> list[tuple[int, str, str]]:
    async def work(tx: Tx) -> Sequence[Any]:
        return await tx.all(
            select(FollowerTag.follower_id, Tag.name, FollowerTag.source_key)
            .join(Tag, Tag.id == FollowerTag.tag_id)
            .order_by(FollowerTag.follower_id, Tag.name)
        )

    return [tuple(row) for row in await database.read(work)]


async def names(database: Database) -> list[tuple[int, str]]:
    async def work(tx: Tx) -> Sequence[Any]:
        return await tx.all(select(Tag.account_id, Tag.name).order_by(Tag.account_id, Tag.name))

    return [tuple(row) for row in await database.read(work)]


async def test_tags_are_made_on_first_use_each_account_its_own(
    people: Database, kinds: tuple[TagKind, UntagKind]
) -> None:
    asked = [tag(ANN, "常客"), tag(BOB, "常客"), tag(EVE, "常客"), tag(ANN, "新客")]
    new = await people.transaction(lambda tx: kinds[0].apply(tx, asked))
    assert new == [True] * 4
    assert await names(people) == [(1, "常客"), (1, "新客"), (2, "常客")]
    assert len(await worn(people)) == 4


async def test_a_tag_already_there_stays_as_it_was(
    people: Database, kinds: tuple[TagKind, UntagKind]
) -> None:
    await people.transaction(lambda tx: kinds[0].apply(tx, [tag(ANN, "常客", "w:m:1")]))
    asked = [tag(ANN, "常客", "w:m:2"), tag(BOB, "常客", "w:m:3"), tag(BOB, "常客", "w:m:4")]
    assert await people.transaction(lambda tx: kinds[0].apply(tx, asked)) == [False, True, False]
    assert await worn(people) == [(ANN, "常客", "w:m:1"), (BOB, "常客", "w:m:3")]


async def test_taking_off(people: Database, kinds: tuple[TagKind, UntagKind]) -> None:
    on, off = kinds
    await people.transaction(lambda tx: on.apply(tx, [tag(ANN, "常客"), tag(BOB, "常客")]))
    asked = [
        UntagFollower(ANN, "常客"),
        UntagFollower(ANN, "常客"),
        UntagFollower(ANN, "没有"),
        UntagFollower(EVE, "常客"),
        UntagFollower(FollowerId(99), "常客"),
    ]
    gone = await people.transaction(lambda tx: off.apply(tx, asked))
    assert gone == [True, False, False, False, False]
    assert await worn(people) == [(BOB, "常客", "w:m:1")]
    assert await people.transaction(lambda tx: off.apply(tx, asked[2:3])) == [False]


async def test_a_follower_who_does_not_exist_gets_none(
    people: Database, kinds: tuple[TagKind, UntagKind]
) -> None:
    asked = [tag(FollowerId(99), "常客")]
    assert await people.transaction(lambda tx: kinds[0].apply(tx, asked)) == [False]
    assert await names(people) == []


async def test_two_batches_that_make_the_same_tags_at_once(
    people: Database, kinds: tuple[TagKind, UntagKind]
) -> None:
    words = [f"标签{n}" for n in range(20)]

    async def batch(follower: FollowerId, order: Sequence[str]) -> list[bool]:
        asked = [tag(follower, name) for name in order]
        return await people.transaction(lambda tx: kinds[0].apply(tx, asked))

    results = await asyncio.gather(batch(ANN, words), batch(BOB, words[::-1]))
    assert list(results) == [[True] * 20] * 2
    assert len(await names(people)) == 20
    assert len(await worn(people)) == 40


async def test_as_kinds_of_the_installation_they_say_nothing(
    people: Database, kinds: tuple[TagKind, UntagKind]
) -> None:
    effects: list[Effect] = [tag(ANN, "常客"), UntagFollower(ANN, "新客"), tag(BOB, "新客")]
    said = await people.transaction(lambda tx: EffectKinds(kinds).apply(tx, effects))
    assert said == [None, None, None]
    assert await worn(people) == [(ANN, "常客", "w:m:1"), (BOB, "新客", "w:m:1")]


@pytest.mark.parametrize("had", [False, True])
async def test_of_a_tag_put_on_and_taken_off_at_once_the_last_word_stands(
    people: Database, kinds: tuple[TagKind, UntagKind], had: bool
) -> None:
    if had:
        await people.transaction(lambda tx: kinds[0].apply(tx, [tag(ANN, "常客", "w:m:0")]))
    effects: list[Effect] = [
        UntagFollower(ANN, "常客"),
        tag(ANN, "常客"),
        tag(BOB, "常客"),
        UntagFollower(BOB, "常客"),
        UntagFollower(ANN, "新客"),
    ]
    said = await people.transaction(lambda tx: EffectKinds(kinds).apply(tx, effects))
    assert said == [None] * 5
    assert await worn(people) == [(ANN, "常客", "w:m:0" if had else "w:m:1")]
