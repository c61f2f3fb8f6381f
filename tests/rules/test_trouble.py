"""What would be too much for a matcher: each has its stated outcome."""

import pytest
from sqlalchemy import select

from app.core.clock import FakeClock
from app.core.errors import Invalid
from app.core.settings import Settings
from app.db.audit import CLI
from app.db.tx import Tx
from app.engines.replies.inputs import RuleInput
from app.engines.support.models import Message
from app.handlers.fallback import NOT_UNDERSTOOD
from tests.shop import Shop, open_shop
from tests.wire import value_of

FIRST = 0x4E00
EMOJI = "😀👩‍👩‍👧‍👦"
"""A smile, and a family of seven code points."""


def rule(number: int, kind: str, word: str, say: str) -> RuleInput:
    return RuleInput.model_validate(
        {
            "name": f"规则 {number}",
            "kind": kind,
            "words": [word],
            "answers": [[{"do": "reply", "with": {"kind": "text", "text": say}}]],
        }
    )


async def write(shop: Shop, *rules: RuleInput) -> None:
    for start in range(0, len(rules), 500):

        async def work(tx: Tx, start: int = start) -> None:
            await shop.runtime.replies.import_many(
                tx, CLI, shop.account_id, rules=rules[start : start + 500]
            )

        await shop.runtime.database.transaction(work)
    await shop.runtime.book.refresh()


async def said(shop: Shop, words: str, who: int = 1) -> str:
    return value_of(await shop.say(words, who), "Content")


async def test_ten_thousand_rules_of_one_character(settings: Settings, clock: FakeClock) -> None:
    """They are all taken, and the first of the text's that is oldest answers."""
    async with open_shop(settings, clock) as shop:
        characters = [chr(FIRST + n) for n in range(10_000)]
        kinds = ("contains", "exact")
        await write(shop, *(rule(n, kinds[n % 2], c, f"答 {n}") for n, c in enumerate(characters)))
        for number in (0, 1, 5_000, 9_998, 9_999):
            assert await said(shop, characters[number]) == f"答 {number}"
        assert await said(shop, f"说{characters[8]}和{characters[6]}？") == "答 6"
        assert await said(shop, "".join(characters[1:682:2])) == NOT_UNDERSTOOD  # exact words only


async def test_a_message_of_2048_bytes_of_emoji(settings: Settings, clock: FakeClock) -> None:
    """It is compared and stored whole, whatever stands beside a character."""
    async with open_shop(settings, clock) as shop:
        words = ("👧" + EMOJI * 200).encode()[:2048].decode(errors="ignore")
        assert 2045 <= len(words.encode()) <= 2048
        assert await said(shop, words) == NOT_UNDERSTOOD
        await write(
            shop,
            rule(1, "contains", "👦😀", "一家人"),
            rule(2, "wildcard", "👧*", "女孩"),
            rule(3, "pattern", "^(😀|👩|\u200d|👧|👦)+$", "都是表情"),
            rule(4, "exact", words[:120], "一部分"),
        )
        clock.advance(minutes=1)
        assert await said(shop, words) == "女孩"
        assert await said(shop, words[1:]) == "一家人"
        assert await said(shop, "😀👩") == "都是表情"
        assert await said(shop, words[:120]) == "一部分"
        stored = await shop.rows(select(Message.text).where(Message.direction == "in"))
        assert [row.text for row in stored].count(words) == 2


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){20}$", "(x+x+)+y"])
async def test_a_pattern_that_would_blow_up(
    settings: Settings, clock: FakeClock, pattern: str
) -> None:
    """It is linear in the text: the follower is answered like any other."""
    async with open_shop(settings, clock) as shop:
        await write(shop, rule(1, "pattern", pattern, "匹配"))
        for who, hostile in enumerate(("a" * 2047 + "!", "x" * 2048)):
            assert await said(shop, hostile, who) == NOT_UNDERSTOOD


async def test_a_pattern_too_large_is_refused_when_it_is_written(
    settings: Settings, clock: FakeClock
) -> None:
    async with open_shop(settings, clock) as shop:
        for pattern in (r"\pL{900}\pL{900}\pL{900}\pL{900}\pL{900}", "(a{900}){900}", "(a"):
            with pytest.raises(Invalid, match=r"words\[0\]"):
                await write(shop, rule(1, "pattern", pattern, "匹配"))
        assert len(shop.runtime.book.current(shop.account_id).matcher) == 0
