import asyncio
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import func, select

from app.core.errors import Invalid, NotFound
from app.db.tx import Tx
from app.engines.replies import queries
from app.engines.replies.errors import (
    DuplicateBinding,
    DuplicateFlow,
    FlowInUse,
    VersionConflict,
)
from app.engines.replies.inputs import RuleInput
from app.engines.replies.models import Book, Rule
from tests.engines.replies.conftest import ONE, STAFF, TWO, Desk, binding, flow, rule, say, start


class TestRules:
    async def test_are_kept_as_written(self, desk: Desk) -> None:
        data = rule(
            "咖啡", "拿铁", "咖啡", name=" 饮品 ", priority=5, answers=[say("一"), say("二")]
        )
        made = await desk.do(desk.replies.rules.create, data)
        found = await desk.database.read(lambda tx: desk.replies.rules.get(tx, ONE, made.id))
        assert found == made
        assert (made.name, made.kind, made.words) == ("饮品", "contains", ("咖啡", "拿铁"))
        assert (made.priority, made.enabled, made.version) == (5, True, 1)
        assert made.answers == [say("一"), say("二")]

    async def test_are_changed_by_whom_has_seen_the_last_version(self, desk: Desk) -> None:
        made = await desk.do(desk.replies.rules.create, rule("咖啡"))
        new = await desk.do(desk.replies.rules.update, made.id, rule("茶"), version=1)
        assert (new.words, new.version, new.created_at) == (("茶",), 2, made.created_at)
        with pytest.raises(VersionConflict) as caught:
            await desk.do(desk.replies.rules.update, made.id, rule("水"), version=1)
        assert caught.value.details == {"current": 2}
        with pytest.raises(VersionConflict):
            await desk.do(desk.replies.rules.delete, made.id, version=1)
        await desk.do(desk.replies.rules.delete, made.id, version=2)
        with pytest.raises(NotFound):
            await desk.do(desk.replies.rules.delete, made.id)

    async def test_one_of_two_who_save_at_once_is_told(self, desk: Desk) -> None:
        made = await desk.do(desk.replies.rules.create, rule("咖啡"))
        saves = [
            desk.do(desk.replies.rules.update, made.id, rule(word), version=1)
            for word in ("茶", "水", "奶")
        ]
        results = await asyncio.gather(*saves, return_exceptions=True)
        assert sorted(type(r).__name__ for r in results) == [
            "RuleView",
            "VersionConflict",
            "VersionConflict",
        ]

    async def test_belong_to_their_account(self, desk: Desk) -> None:
        made = await desk.do(desk.replies.rules.create, rule("咖啡"))
        with pytest.raises(NotFound):
            await desk.do(desk.replies.rules.update, made.id, rule("茶"), version=1, account=TWO)
        with pytest.raises(NotFound):
            await desk.do(desk.replies.rules.delete, made.id, account=TWO)
        with pytest.raises(NotFound):
            await desk.database.read(lambda tx: desk.replies.rules.get(tx, TWO, made.id))

    async def test_are_audited_and_announced(self, desk: Desk) -> None:
        made = await desk.do(desk.replies.rules.create, rule("咖啡"))
        await desk.do(desk.replies.rules.update, made.id, rule("茶"), version=1)
        await desk.do(desk.replies.rules.delete, made.id)
        assert await desk.events() == [
            ("rule.created", 1),
            ("rule.changed", 2),
            ("rule.deleted", 2),
        ]
        created, changed, deleted = await desk.audited()
        assert created.actor == "token:9"
        assert created.action == "replies.rule.created"
        assert (created.before, created.after["words"]) == (None, ["咖啡"])
        assert (changed.before["words"], changed.after["words"]) == (["咖啡"], ["茶"])
        assert (deleted.before["version"], deleted.after) == (2, None)

    async def test_a_refusal_writes_nothing(self, desk: Desk) -> None:
        with pytest.raises(Invalid):
            await desk.do(desk.replies.rules.create, rule("(", kind="pattern"))
        assert await desk.rows(select(Book.version)) == []
        assert await desk.events() == []

    @pytest.mark.parametrize(
        ("other", "field", "problem"),
        [
            ({"kind": "pattern", "words": ["a", "(b"]}, "words[1]", "missing ): (b"),
            ({"answers": [say("好"), [{"do": "fly"}]]}, "answers[1][0].do", "unknown action 'fly'"),
            ({"answers": [say("")]}, "answers[0][0].with.text", "visible"),
            ({"answers": [[{"do": "x\x00"}]]}, "answers[0][0].do", "U+0000"),
            ({"answers": [[{"do\x00": "reply"}]]}, "answers[0][0]", "U+0000"),
            ({"answers": start("没有")}, "answers", "no flow named 没有"),
        ],
    )
    async def test_what_is_wrong_is_named(
        self, desk: Desk, other: dict[str, Any], field: str, problem: str
    ) -> None:
        with pytest.raises(Invalid) as caught:
            await desk.do(desk.replies.rules.create, rule("咖啡", **other))
        assert caught.value.details["field"] == field
        assert problem in str(caught.value.details["problem"])


@pytest.mark.parametrize(
    "other",
    [
        {"words": []},
        {"words": ["词"] * 201},
        {"words": ["x" * 121]},
        {"words": ["  "]},
        {"words": ["a\x00"]},
        {"name": " "},
        {"name": "x" * 81},
        {"kind": "fuzzy"},
        {"priority": 1001},
        {"priority": -1001},
        {"answers": []},
        {"answers": [[]]},
        {"answers": [say("好")] * 21},
        {"answers": [say("好") * 11]},
        {"surplus": True},
    ],
)
def test_limits_of_a_rule(other: dict[str, Any]) -> None:
    given = {"name": "规则", "kind": "exact", "words": ["咖啡"], "answers": [say("好的")]}
    RuleInput.model_validate(given)
    with pytest.raises(ValidationError):
        RuleInput.model_validate({**given, **other})


class TestBindings:
    async def test_one_on_each_key(self, desk: Desk) -> None:
        bindings = desk.replies.bindings
        first = await desk.do(bindings.create, binding("menu", "today"))
        with pytest.raises(DuplicateBinding) as caught:
            await desk.do(bindings.create, binding("menu", "today"))
        assert caught.value.details == {"on": "menu", "key": "today"}
        await desk.do(bindings.create, binding("menu", "today"), account=TWO)
        second = await desk.do(bindings.create, binding("scan", "today"))
        with pytest.raises(DuplicateBinding):
            await desk.do(bindings.update, second.id, binding("menu", "today"), version=1)
        same = await desk.do(
            bindings.update, first.id, binding("menu", "today", enabled=False), version=1
        )
        assert (same.version, same.enabled) == (2, False)
        await desk.do(bindings.delete, first.id)
        await desk.do(bindings.create, binding("menu", "today"))

    async def test_one_of_many_who_bind_a_key_at_once(self, desk: Desk) -> None:
        tries = [desk.do(desk.replies.bindings.create, binding("menu", "x")) for _ in range(5)]
        results = await asyncio.gather(*tries, return_exceptions=True)
        assert sum(isinstance(r, DuplicateBinding) for r in results) == 4

    @pytest.mark.parametrize(
        ("on", "key"), [("location", "x"), ("type", "follow"), ("dance", ""), ("menu", "x" * 129)]
    )
    def test_keys_that_make_no_sense(self, on: str, key: str) -> None:
        with pytest.raises(ValidationError):
            binding(on, key)

    def test_keys_that_do(self) -> None:
        assert binding("type").key == ""
        assert binding("type", "image").key == "image"
        assert binding("location").on == "location"


class TestFlows:
    async def test_keep_their_plan_in_full(self, desk: Desk) -> None:
        data = flow(finish=say("好"), expires_seconds=120, cancel_words=["不要了"])
        made = await desk.do(desk.replies.flows.create, data)
        assert made.name == "点单"
        assert made.plan == {
            "steps": [{"ask": "几杯？", "expect": "number", "save_as": "count"}],
            "expires_seconds": 120,
            "cancel_words": ["不要了"],
            "finish": say("好"),
        }

    async def test_names_are_unique(self, desk: Desk) -> None:
        await desk.do(desk.replies.flows.create, flow())
        with pytest.raises(DuplicateFlow):
            await desk.do(desk.replies.flows.create, flow(" 点单 "))
        other = await desk.do(desk.replies.flows.create, flow("订位"))
        with pytest.raises(DuplicateFlow):
            await desk.do(desk.replies.flows.update, other.id, flow("点单"), version=1)

    async def test_one_in_use_keeps_its_name_and_stays(self, desk: Desk) -> None:
        flows, rules = desk.replies.flows, desk.replies.rules
        made = await desk.do(flows.create, flow())
        user = await desk.do(rules.create, rule("点单", name="入口", answers=start("点单")))
        with pytest.raises(FlowInUse) as caught:
            await desk.do(flows.delete, made.id)
        assert caught.value.details == {"used_by": "入口"}
        with pytest.raises(FlowInUse):
            await desk.do(flows.update, made.id, flow("下单"), version=1)
        changed = await desk.do(flows.update, made.id, flow(expires_seconds=99), version=1)
        assert changed.plan["expires_seconds"] == 99
        await desk.do(rules.delete, user.id)
        renamed = await desk.do(flows.update, made.id, flow("下单"), version=2)
        assert renamed.name == "下单"

    async def test_used_by_a_binding_or_another_flow(self, desk: Desk) -> None:
        flows = desk.replies.flows
        first = await desk.do(flows.create, flow("甲", finish=start("甲")[0]))
        second = await desk.do(flows.create, flow("乙", finish=start("甲")[0]))
        await desk.do(desk.replies.bindings.create, binding("follow", answers=start("乙")))
        for made, user in ((first, "乙"), (second, "rp_binding")):
            with pytest.raises(FlowInUse) as caught:
                await desk.do(flows.delete, made.id)
            assert caught.value.details == {"used_by": user}

    @pytest.mark.parametrize(
        ("plan", "field"),
        [
            ({"steps": []}, "plan.steps"),
            ({"steps": [{"ask": "a\x00", "save_as": "a"}]}, "plan.steps[0].ask"),
            ({"finish": [{"do": "fly"}]}, "plan.finish[0].do"),
            ({"finish": start("没有")[0]}, "answers"),
        ],
    )
    async def test_what_is_wrong_is_named(
        self, desk: Desk, plan: dict[str, Any], field: str
    ) -> None:
        with pytest.raises(Invalid) as caught:
            await desk.do(desk.replies.flows.create, flow(**plan))
        assert caught.value.details["field"] == field


class TestPages:
    async def test_newest_first_without_gap_or_repeat(self, desk: Desk) -> None:
        made = [await desk.do(desk.replies.rules.create, rule(f"词{n}")) for n in range(5)]
        await desk.do(desk.replies.rules.create, rule("别家"), account=TWO)
        seen: list[int] = []
        before: int | None = None
        for size in (2, 2, 1):
            page = await self.page(desk, before=before, limit=2)
            assert len(page.items) == size
            seen += [view.id for view in page.items]
            before = page.next_before
        assert before is None
        assert seen == [view.id for view in reversed(made)]

    async def test_are_searched_by_name_and_word(self, desk: Desk) -> None:
        for name, word in (("Coffee", "拿铁"), ("茶", "100%果汁"), ("水", "100度")):
            await desk.do(desk.replies.rules.create, rule(word, name=name))
        for text, names in (
            ("coffee", ["Coffee"]),
            ("拿", ["Coffee"]),
            ("100%", ["茶"]),
            ("_", []),
        ):
            page = await self.page(desk, text=text)
            assert [view.name for view in page.items] == names

    async def test_of_bindings_and_flows(self, desk: Desk) -> None:
        for key in ("a", "b"):
            await desk.do(desk.replies.bindings.create, binding("menu", key))
            await desk.do(desk.replies.flows.create, flow(key))
        await desk.do(desk.replies.bindings.create, binding("follow"))
        read = desk.database.read
        bindings = await read(lambda tx: queries.list_bindings(tx, ONE, on="menu"))
        assert [view.key for view in bindings.items] == ["b", "a"]
        assert len((await read(lambda tx: queries.list_bindings(tx, ONE))).items) == 3
        flows = await read(lambda tx: queries.list_flows(tx, ONE, limit=1))
        assert ([view.name for view in flows.items], flows.next_before) == (
            ["b"],
            flows.items[0].id,
        )

    async def page(self, desk: Desk, **how: Any) -> queries.Page[queries.RuleView]:
        return await desk.database.read(lambda tx: queries.list_rules(tx, ONE, **how))


class TestImport:
    async def test_brings_everything_at_once(self, desk: Desk) -> None:
        await desk.do(
            desk.replies.import_many,
            rules=[rule(f"词{n}") for n in range(1200)] + [rule("点单", answers=start("点单"))],
            bindings=[binding("follow"), binding("menu", "a")],
            flows=[flow()],
        )
        assert (await desk.rows(select(func.count()).select_from(Rule)))[0][0] == 1201
        assert (await desk.rows(select(Book.version)))[0][0] == 1
        assert await desk.events() == [("book.imported", 1)]
        (row,) = await desk.audited()
        assert row.after == {"added": 1204, "changed": 0, "removed": 0, "version": 1}

    @pytest.mark.parametrize(
        ("given", "refusal"),
        [
            ({"bindings": [binding("menu", "a"), binding("menu", "a")]}, DuplicateBinding),
            ({"flows": [flow(), flow()]}, DuplicateFlow),
            ({"rules": [rule("a"), rule("(", kind="pattern")]}, Invalid),
            ({"rules": [rule("a", answers=start("没有"))]}, Invalid),
        ],
    )
    async def test_is_all_or_nothing(
        self, desk: Desk, given: dict[str, Any], refusal: type[Exception]
    ) -> None:
        with pytest.raises(refusal):
            await desk.do(desk.replies.import_many, **given)
        assert await desk.rows(select(Book.version)) == []


async def test_every_change_raises_the_version_of_the_book(desk: Desk) -> None:
    made = await desk.do(desk.replies.rules.create, rule("咖啡"))
    await desk.do(desk.replies.rules.update, made.id, rule("茶"), version=1)
    await desk.do(desk.replies.bindings.create, binding("follow"))
    await desk.do(desk.replies.rules.delete, made.id)
    await desk.do(desk.replies.flows.create, flow(), account=TWO)

    async def versions(tx: Tx) -> dict[Any, int]:
        return dict(await queries.read_versions(tx))

    assert await desk.database.read(versions) == {ONE: 4, TWO: 1}
    assert STAFF.name == (await desk.audited())[0].actor
