"""Ten thousand texts over a book of every sort of rule: a slow and obvious matcher, the program's own, its
explanation, the dry run, the answer that a delivery gets and its trace all name the same rule."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from sqlalchemy import select

from app.conversation.rehearsal import rehearse
from app.core.clock import FakeClock
from app.core.ids import AccountId, FollowerId
from app.core.incoming import Incoming, Kind
from app.core.replies import TextReply
from app.db.audit import CLI
from app.db.tx import Tx
from app.engines.followers.models import Follower
from app.engines.followers.tagging import Tagging
from app.engines.replies.book_settings import BookSettings
from app.engines.replies.compiled import Compiled
from app.engines.replies.conditions import Situation
from app.engines.replies.inputs import RuleInput
from app.engines.replies.matcher import PASSED_OVER
from app.engines.support.models import Message
from app.runtime import Runtime
from tests.rules.book import SYNONYMS, TAGS, draw
from tests.rules.reference import Reference, Rule
from tests.wire import Sender, openid, value_of

TEXTS = 10_000
RULES = 300
MOMENTS = 40
ZONE = "Asia/Shanghai"
START = datetime(2026, 9, 30, 17, 0, tzinfo=ZoneInfo(ZONE))
STEP = timedelta(hours=7)
"""From before the first of October to the eleventh, through every hour of the day."""
PEOPLE = TEXTS // MOMENTS
DRY_RUNS = 200
AT_ONCE = 64
"""Deliveries under way; on a slow machine more would not be answered in time."""
"""Texts tried by the API itself; it does what `rehearse` does for all of them."""


class MovedClock(FakeClock):
    """Like the demo's: what is signed and leased goes by real time, which stays."""

    moved: datetime | None = None

    def now(self) -> datetime:
        return self.moved or super().now()


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@dataclass(frozen=True)
class Case:
    """One text, who types it and when, and what is to come of it."""

    number: int
    text: str
    moment: int
    who: int
    rule: str | None
    """Its name."""
    kind: str | None
    passed: tuple[str, ...]

    @property
    def at(self) -> datetime:
        return START + self.moment * STEP

    @property
    def key(self) -> str:
        return f"w:m:{self.number}"


def tags_of(person: int) -> list[str]:
    """Every combination of tags, over and over."""
    return [tag for place, tag in enumerate(TAGS) if person >> place & 1]


def name_of(rule: Rule) -> str:
    return f"规则 {rule.id}"


def said_by(name: str) -> str:
    return f"由{name}回复"


def cases(rules: Sequence[Rule], texts: Sequence[str]) -> list[Case]:
    reference = Reference(rules, SYNONYMS)
    names = {rule.id: name_of(rule) for rule in rules}
    made = []
    for number, text in enumerate(texts, 1):
        moment, who = divmod(number - 1, PEOPLE)
        at = (START + moment * STEP).astimezone(ZoneInfo(ZONE))
        rule, passed = reference.answer(text, at, tags_of(who))
        made.append(
            Case(
                number,
                text,
                moment,
                who,
                names[rule.id] if rule else None,
                rule.kind if rule else None,
                tuple(names[one] for one in passed[:PASSED_OVER]),
            )
        )
    return made


def test_the_texts_are_worth_asking() -> None:
    """At least 60 % are matched, each kind of rule wins 500 or more, and many are passed over."""
    drawn = draw(2026, RULES, TEXTS)
    made = cases(drawn.rules, drawn.texts)
    kinds = Counter(case.kind for case in made)
    assert TEXTS - kinds[None] >= 0.6 * TEXTS
    assert min(kinds[kind] for kind in ("exact", "wildcard", "contains", "pattern")) >= 500
    assert sum(bool(case.passed) for case in made) >= 500
    assert sum(bool(case.passed) and case.rule is None for case in made) >= 50


async def test_every_way_names_the_same_rule(
    client: httpx.AsyncClient,
    runtime: Runtime,
    clock: MovedClock,
    bearer: Callable[..., Awaitable[dict[str, str]]],
    account: Callable[..., Awaitable[AccountId]],
) -> None:
    drawn = draw(2026, RULES, TEXTS)
    made = await asyncio.to_thread(cases, drawn.rules, drawn.texts)  # the watchdog sees the loop
    account_id = await account(
        "cafe", appid="wx00000000000000aa", mode="plain", original_id="gh_0123456789ab"
    )
    await _people(client, runtime, clock, account_id)
    await _write(runtime, account_id, drawn.rules)
    compiled = runtime.book.current(account_id)
    assert compiled.broken == ()
    for case in made:
        _matched(compiled, case)
        _rehearsed(runtime, account_id, case)
        await asyncio.sleep(0)
    headers = await bearer("marketer")
    for case in random.Random(7).sample(made, DRY_RUNS):
        await _tried(client, headers, case)
    for moment in range(MOMENTS):
        clock.moved = START + moment * STEP
        now = [case for case in made if case.moment == moment]
        for start in range(0, len(now), AT_ONCE):
            some = now[start : start + AT_ONCE]
            answers = await asyncio.gather(*(_delivered(client, clock, case) for case in some))
            wrong = [(c.number, a) for c, a in zip(some, answers, strict=True) if not _fits(c, a)]
            assert wrong == []
    traces = await _traces(runtime)
    assert len([case for case in made if case.key in traces]) == TEXTS
    assert [case for case in made if not _traced(case, traces[case.key])] == []


def _matched(compiled: Compiled, case: Case) -> None:
    situation = Situation(case.at, ZONE, tags_of(case.who))
    hit, passed = compiled.choose(case.text, situation)
    assert (hit and hit.name) == case.rule, case
    assert tuple(one.hit.name for one in passed) == case.passed, case
    explained = compiled.explain(case.text, situation)
    assert explained.winner == hit, case
    assert explained.passed == passed, case


def _rehearsed(runtime: Runtime, account_id: AccountId, case: Case) -> None:
    found = runtime.accounts.by_id(account_id)
    assert found is not None
    tried = rehearse(
        runtime.routing,
        found.view,
        Incoming(Kind.TEXT, text=case.text),
        key=case.key,
        now=case.at,
        tags=tags_of(case.who),
    )
    assert tried.why.get("name") == case.rule, case
    assert _traced(case, tried.why), case
    if case.rule:
        assert tried.messages == (TextReply(said_by(case.rule)),)
    assert tried.missed is (case.rule is None)


async def _tried(client: httpx.AsyncClient, headers: dict[str, str], case: Case) -> None:
    body = {
        "text": case.text,
        "key": case.key,
        "at": case.at.isoformat(),
        "tags": tags_of(case.who),
    }
    response = await client.post("/api/v1/replies/dry-run", json=body, headers=headers)
    assert response.status_code == 200, response.text
    out = response.json()
    assert (out["rule"] and out["rule"]["name"]) == case.rule, case
    assert tuple(one["name"] for one in out["passed"]) == case.passed, case
    assert all(name in out["reason"] for name in case.passed)
    if case.rule:
        assert [one["text"] for one in out["messages"]] == [said_by(case.rule)]


async def _delivered(client: httpx.AsyncClient, clock: MovedClock, case: Case) -> str:
    """What is said to the follower."""
    sender = Sender(token="tok123")
    xml = sender.text(openid(case.who), case.text, clock.real(), case.number)
    query, body = sender.request(xml, clock.real())
    async with asyncio.timeout(60):
        response = await client.post(f"/wechat/cafe?{query}", content=body)
    assert response.status_code == 200
    return value_of(response.text, "Content")


def _fits(case: Case, answer: str) -> bool:
    return answer == said_by(case.rule) if case.rule else answer.startswith("抱歉")


def _traced(case: Case, why: Any) -> bool:
    passed = tuple(one["name"] for one in why.get("passed_rules", ()))
    return (why.get("name"), passed) == (case.rule, case.passed)


async def _people(
    client: httpx.AsyncClient, runtime: Runtime, clock: MovedClock, account_id: AccountId
) -> None:
    """Everybody has written once and has their tags."""
    hellos = [Case(TEXTS + n, "你好", 0, n, None, None, ()) for n in range(PEOPLE)]
    await asyncio.gather(*(_delivered(client, clock, hello) for hello in hellos))

    async def tag(tx: Tx) -> None:
        rows = await tx.all(
            select(Follower.openid, Follower.id).where(Follower.account_id == account_id)
        )
        ids = {row.openid: FollowerId(row.id) for row in rows}
        wanted = [(ids[openid(n)], name, "k") for n in range(PEOPLE) for name in tags_of(n)]
        await Tagging(runtime.ids, clock).add_many(tx, wanted)

    await runtime.database.transaction(tag)


async def _write(runtime: Runtime, account_id: AccountId, rules: Sequence[Rule]) -> None:
    async def work(tx: Tx) -> None:
        settings = BookSettings.model_validate({"synonyms": SYNONYMS})
        await runtime.replies.put_settings(tx, CLI, account_id, settings, version=0)
        await runtime.replies.import_many(
            tx, CLI, account_id, rules=[_written(rule) for rule in rules]
        )

    await runtime.database.transaction(work)
    await runtime.book.refresh([account_id])


def _written(rule: Rule) -> RuleInput:
    words = {"kind": "text", "text": said_by(name_of(rule))}
    return RuleInput.model_validate(
        {
            "name": name_of(rule),
            "kind": rule.kind,
            "words": rule.words,
            "priority": rule.priority,
            "answers": [[{"do": "reply", "with": words}]],
            "hours": rule.hours or None,
            "audience": rule.audience or None,
        }
    )


async def _traces(runtime: Runtime) -> dict[str, Any]:
    async def work(tx: Tx) -> dict[str, Any]:
        rows = await tx.all(
            select(Message.receipt_key, Message.trace).where(Message.direction == "in")
        )
        return {row.receipt_key: row.trace for row in rows}

    return await runtime.database.read(work)
