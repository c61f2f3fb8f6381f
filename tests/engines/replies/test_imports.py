"""A whole book as a file: what would change, all that is wrong, and applied as planned."""

import json
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from app.engines.replies.book_plan import Mode, Plan
from app.engines.replies.book_settings import BookSettings
from app.engines.replies.changes import Change
from app.engines.replies.document_places import Format
from app.engines.replies.document_writing import write_document
from app.engines.replies.documents import read_document
from app.engines.replies.errors import VersionConflict
from app.engines.replies.imports import Imports
from app.engines.replies.mistakes import SHOWN, Mistakes
from app.engines.replies.models import Book, FlowVersion, Revision, Rule
from tests.engines.replies.conftest import ONE, STAFF, TWO, Desk, binding, flow, rule, say, start

RULE = {"name": "咖啡", "kind": "exact", "words": ["拿铁"], "answers": [say("好")]}
BINDING = {"on": "menu", "key": "a", "answers": [say("好")]}
PLAN = {"steps": [{"ask": "几杯？", "save_as": "count"}]}
FLOW = {"name": "点单", "plan": PLAN}

ALIKE = "the same name or key as {}"
INSTANCE = "Input should be a valid dictionary or instance of"
PLACES = "Input should be 'menu', 'scan', 'follow', 'location' or 'type'"
TOO_SHORT = "Tuple should have at least 1 item after validation, not 0"
NO_FLOW = "after this import there is no flow named {}"


def book(**sections: Any) -> bytes:
    return orjson.dumps({"guanxi": 1, **sections})


@pytest.fixture
def imports(desk: Desk) -> Imports:
    return Imports(desk.database, desk.replies)


async def take(
    desk: Desk, imports: Imports, raw: bytes, mode: Mode = "merge", account: Any = ONE
) -> Plan:
    """Planned and applied."""
    plan = await imports.plan_import(account, raw, mode)
    await desk.database.transaction(
        lambda tx: imports.apply(tx, STAFF, account, plan, source="import")
    )
    return plan


def brief(changes: Any) -> list[tuple[str, str, str]]:
    return [(one.kind, one.what, one.name) for one in changes]


async def exported(imports: Imports, form: Format = "json", account: Any = ONE) -> dict[str, Any]:
    text, _ = await imports.export(account, form)
    found: dict[str, Any] = read_document(text.encode()).value
    return found


class TestPlan:
    async def test_of_an_empty_book_adds_everything(self, desk: Desk, imports: Imports) -> None:
        raw = book(
            rules=[RULE], bindings=[BINDING], flows=[FLOW], settings={"silent_for": ["员工"]}
        )
        plan = await imports.plan_import(ONE, raw, "merge")
        assert brief(plan.changes) == [
            ("added", "settings", "settings"),
            ("added", "flow", "点单"),
            ("added", "rule", "咖啡"),
            ("added", "binding", "menu a"),
        ]
        assert plan.counts == {"added": 4, "changed": 0, "removed": 0, "unchanged": 0}
        assert await desk.rows(select(Book.version)) == []

    async def test_names_what_differs(self, desk: Desk, imports: Imports) -> None:
        await take(desk, imports, book(rules=[RULE], bindings=[BINDING], flows=[FLOW]))
        changed = {**RULE, "words": ["美式"], "priority": 3}
        plan = await imports.plan_import(ONE, book(rules=[changed], flows=[FLOW]), "merge")
        (change,) = plan.changes
        assert (change.kind, change.name) == ("changed", "咖啡")
        assert {one.field: (one.before, one.after) for one in change.fields} == {
            "words[0]": ("拿铁", "美式"),
            "priority": (0, 3),
        }
        assert plan.counts == {"added": 0, "changed": 1, "removed": 0, "unchanged": 2}

    async def test_replacing_removes_the_rest(self, desk: Desk, imports: Imports) -> None:
        await take(
            desk,
            imports,
            book(rules=[RULE], bindings=[BINDING], flows=[FLOW], settings={"enabled": False}),
        )
        other = {**RULE, "name": "茶"}
        plan = await take(desk, imports, book(rules=[other], flows=[FLOW]), "replace")
        assert sorted(brief(plan.changes)) == [
            ("added", "rule", "茶"),
            ("removed", "binding", "menu a"),
            ("removed", "rule", "咖啡"),
            ("removed", "settings", "settings"),
        ]
        found = await exported(imports)
        assert (found["settings"], found["bindings"]) == ({}, [])
        assert [one["name"] for one in found["rules"]] == ["茶"]
        assert [one["name"] for one in found["flows"]] == ["点单"]

    async def test_merging_changes_only_settings_that_are_given(
        self, desk: Desk, imports: Imports
    ) -> None:
        await take(desk, imports, book(settings={"silent_for": ["员工"], "enabled": False}))
        await take(desk, imports, book(settings={"synonyms": [["营业时间", "几点开门"]]}))
        await take(desk, imports, book(rules=[]))
        assert (await exported(imports))["settings"] == {
            "silent_for": ["员工"],
            "enabled": False,
            "synonyms": [["营业时间", "几点开门"]],
        }

    async def test_a_rule_is_known_by_its_id_then_by_its_name(
        self, desk: Desk, imports: Imports
    ) -> None:
        await take(desk, imports, book(rules=[RULE, {**RULE, "name": "茶"}]))
        first, second = (await exported(imports))["rules"]
        renamed = {**first, "name": "拿铁"}
        by_name = {**RULE, "name": "茶", "priority": 1}
        plan = await take(desk, imports, book(rules=[renamed, by_name]))
        assert brief(plan.changes) == [("changed", "rule", "拿铁"), ("changed", "rule", "茶")]
        assert [one["id"] for one in (await exported(imports))["rules"]] == [
            first["id"],
            second["id"],
        ]

    async def test_another_account_s_ids_mean_nothing(self, desk: Desk, imports: Imports) -> None:
        await take(desk, imports, book(rules=[RULE]))
        text, _ = await imports.export(ONE, "yaml")
        plan = await take(desk, imports, text.encode(), account=TWO)
        assert brief(plan.changes) == [("added", "rule", "咖啡")]
        (mine,) = (await exported(imports))["rules"]
        (theirs,) = (await exported(imports, account=TWO))["rules"]
        assert mine["id"] != theirs["id"]

    async def test_a_file_s_order_is_the_rules_order(self, desk: Desk, imports: Imports) -> None:
        names = [f"规则{n}" for n in range(1500)]
        await take(desk, imports, book(rules=[{**RULE, "name": name} for name in names]))
        assert [one["name"] for one in (await exported(imports))["rules"]] == names


@pytest.mark.parametrize("form", ["yaml", "json"])
async def test_an_exported_book_imported_again_changes_nothing(
    desk: Desk, imports: Imports, form: Format
) -> None:
    await desk.do(desk.replies.flows.create, flow())
    for n in range(3):  # alike in name
        await desk.do(
            desk.replies.rules.create,
            rule(f"词{n}", "no", name="同名", answers=start("点单"), enabled=n != 1),
        )
    await desk.do(
        desk.replies.bindings.create,
        binding("type", "text", hours={"daily": [["09:00", "18:00"]], "from": "2026-10-01"}),
    )
    await desk.do(desk.replies.put_settings, BookSettings(silent_for=("员工",)), version=5)
    text, version = await imports.export(ONE, form)
    assert version == 6
    modes: tuple[Mode, ...] = ("merge", "replace")
    for mode in modes:
        plan = await take(desk, imports, text.encode(), mode)
        assert (plan.changes, plan.unchanged) == ((), 5)
    assert (await desk.rows(select(Book.version)))[0][0] == 6


class TestApply:
    async def test_is_one_version_audit_and_event(self, desk: Desk, imports: Imports) -> None:
        plan = await imports.plan_import(ONE, book(rules=[RULE], bindings=[BINDING]), "merge")
        version = await desk.database.transaction(
            lambda tx: imports.apply(tx, STAFF, ONE, plan, source="import", note="十月")
        )
        assert version == 1
        (row,) = await desk.rows(select(Revision.source, Revision.actor, Revision.note))
        assert tuple(row) == ("import", "token:9", "十月")
        assert await desk.events() == [("book.imported", 1)]
        (audited,) = await desk.audited()
        assert audited.action == "replies.book.imported"
        assert audited.after == {"added": 2, "changed": 0, "removed": 0, "version": 1}
        await desk.book.refresh()
        assert desk.book.current(ONE).matcher.explain("拿铁").winner

    async def test_is_refused_when_the_book_moved_since_the_plan(
        self, desk: Desk, imports: Imports
    ) -> None:
        plan = await imports.plan_import(ONE, book(rules=[RULE]), "merge")
        await desk.do(desk.replies.bindings.create, binding("follow"))
        with pytest.raises(VersionConflict) as caught:
            await desk.database.transaction(
                lambda tx: imports.apply(tx, STAFF, ONE, plan, source="import")
            )
        assert caught.value.details == {"current": 1}
        with pytest.raises(VersionConflict):
            await imports.plan_import(ONE, book(rules=[RULE]), "merge", expect=0)
        assert await desk.rows(select(Rule.id)) == []

    async def test_an_empty_plan_makes_no_version_but_is_refused_when_it_is_old(
        self, desk: Desk, imports: Imports
    ) -> None:
        empty = await imports.plan_import(ONE, book(), "merge")
        await desk.do(desk.replies.bindings.create, binding("follow"))
        with pytest.raises(VersionConflict):
            await desk.database.transaction(
                lambda tx: imports.apply(tx, STAFF, ONE, empty, source="import")
            )

    async def test_what_was_changed_has_a_version_of_its_own(
        self, desk: Desk, imports: Imports
    ) -> None:
        await take(desk, imports, book(rules=[RULE, {**RULE, "name": "茶"}]))
        await take(desk, imports, book(rules=[{**RULE, "priority": 5}]))
        rows = await desk.rows(select(Rule.name, Rule.version).order_by(Rule.id))
        assert [tuple(row) for row in rows] == [("咖啡", 2), ("茶", 1)]

    async def test_flows_are_kept_for_those_who_began_with_them(
        self, desk: Desk, imports: Imports
    ) -> None:
        other = {**FLOW, "name": "订位"}
        await take(desk, imports, book(flows=[FLOW, other]))
        changed = {"name": "点单", "plan": {**PLAN, "cancelled": "算了。"}}
        await take(desk, imports, book(flows=[changed]), "replace")
        rows = await desk.rows(select(FlowVersion.name, FlowVersion.version, FlowVersion.steps))
        assert sorted((row.name, row.version, row.steps["steps"][0]["ask"]) for row in rows) == [
            ("点单", 1, "几杯？"),
            ("订位", 1, "几杯？"),
        ]


async def refused(imports: Imports, raw: bytes, mode: Mode = "merge") -> list[tuple[str, str]]:
    with pytest.raises(Mistakes) as caught:
        await imports.plan_import(ONE, raw, mode)
    return [(one.place, one.problem) for one in caught.value.shown]


class TestMistakes:
    async def test_all_are_named_at_once(self, imports: Imports) -> None:
        wrong = {
            "name": " ",
            "kind": "fuzzy",
            "words": ["x", 7, ""],
            "hours": {"daily": [["25:00", "26:00"]]},
            "answers": [[*say(""), {"do": "fly"}], [], say("好")],
            "colour": "red",
        }
        found = dict(await refused(imports, book(rules=[RULE, wrong])))
        assert set(found) >= {
            "rules[1].name",
            "rules[1].kind",
            "rules[1].words[1]",
            "rules[1].words[2]",
            "rules[1].answers[1]",
            "rules[1].colour",
        }
        assert found["rules[1].words[1]"] == "Input should be a valid string"

    async def test_wrong_answers_are_named_beside_a_wrong_name(self, imports: Imports) -> None:
        wrong = {**RULE, "name": "", "answers": [[*say(""), {"do": "fly"}], say("好")]}
        assert [place for place, _ in await refused(imports, book(rules=[wrong]))] == [
            "rules[0].name",
            "rules[0].answers[0][0].with.text",
            "rules[0].answers[0][1].do",
        ]

    async def test_every_pattern_that_is_wrong_is_named(self, imports: Imports) -> None:
        wrong = {**RULE, "kind": "pattern", "words": ["(", "a", "[b"]}
        assert [place for place, _ in await refused(imports, book(rules=[wrong]))] == [
            "rules[0].words[0]",
            "rules[0].words[2]",
        ]

    async def test_a_thousand_mistakes(self, desk: Desk, imports: Imports) -> None:
        rules = [{**RULE, "name": f"规则{n}", "words": ["x" * 121]} for n in range(1000)]
        raw = write_document({"guanxi": 1, "rules": [RULE, *rules]}, "yaml").encode()
        with pytest.raises(Mistakes) as caught:
            await imports.plan_import(ONE, raw, "merge")
        shown = caught.value.shown
        assert caught.value.details["count"] == len(shown) == 1000
        assert [one.place for one in shown] == [f"rules[{n}].words[0]" for n in range(1, 1001)]
        lines = raw.decode().splitlines()
        assert all(one.line and "x" * 121 in lines[one.line - 1] for one in shown)
        assert shown[0].chinese == "最多 120 个字符"
        assert await desk.rows(select(Book.version)) == []

    async def test_more_are_counted_than_named(self, imports: Imports) -> None:
        with pytest.raises(Mistakes) as caught:
            await imports.plan_import(ONE, book(rules=[1] * 20_000), "merge")
        assert caught.value.details["count"] == 20_000
        assert len(caught.value.shown) == SHOWN
        assert "20000" in caught.value.say("zh")

    @pytest.mark.parametrize(
        ("raw", "mistakes"),
        [
            (b"", [("", "a file begins with guanxi: 1, rules: …")]),
            (b"[]", [("", "a file begins with guanxi: 1, rules: …")]),
            (b"rules: []", [("guanxi", "must be 1")]),
            (
                b"guanxi: 2\nwords: []",
                [
                    ("guanxi", "must be 1"),
                    ("words", "unknown; there are settings, rules, bindings, flows"),
                ],
            ),
            (book(rules={}), [("rules", "must be a list")]),
            (book(flows=["点单"]), [("flows[0]", "must be a mapping")]),
            (book(settings=[]), [("settings", f"{INSTANCE} BookSettings")]),
            (book(settings={"colour": 1}), [("settings.colour", "Extra inputs are not permitted")]),
            (book(rules=[RULE, RULE]), [("rules[1]", ALIKE.format("rules[0]"))]),
            (book(bindings=[BINDING, BINDING]), [("bindings[1]", ALIKE.format("bindings[0]"))]),
            (book(flows=[FLOW, FLOW]), [("flows[1]", ALIKE.format("flows[0]"))]),
            (book(rules=[{**RULE, "id": "x"}]), [("rules[0].id", "must be a rule's id")]),
            (book(rules=[{**RULE, "id": 0}]), [("rules[0].id", "must be a rule's id")]),
            (
                book(rules=[{**RULE, "id": 2**63}]),
                [("rules[0].id", "too large a number"), ("rules[0].id", "must be a rule's id")],
            ),
            (
                book(rules=[{**RULE, "answers": start("没有")}]),
                [("rules[0].answers[0][0].with.flow", NO_FLOW.format("没有"))],
            ),
            (
                book(
                    flows=[{"name": "点单", "plan": {"steps": []}}],
                    rules=[{**RULE, "answers": start("点单")}],
                ),
                [("flows[0].plan.steps", TOO_SHORT)],
            ),
            (
                b"guanxi: 1\nrules:\n  - &a {name: x}\n  - *a\n",
                [
                    ("rules[0]", "anchors are not taken"),
                    ("rules[0].kind", "Field required"),
                    ("rules[0].words", "Field required"),
                    ("rules[0].answers", "Field required"),
                    ("rules[1]", "aliases are not taken"),
                    ("rules[1]", "must be a mapping"),
                ],
            ),
            (b"guanxi: 1\nrules: [", [("", "no YAML: did not find expected node content")]),
            (
                book(rules=[{**RULE, "words": ["a\x00"]}]),
                [("rules[0].words[0]", "the character U+0000 is not allowed")],
            ),
            (book(bindings=[{**BINDING, "on": True}]), [("bindings[0].on", PLACES)]),
        ],
    )
    async def test_are_named_with_their_place(
        self, imports: Imports, raw: bytes, mistakes: list[tuple[str, str]]
    ) -> None:
        assert await refused(imports, raw) == mistakes

    async def test_a_lone_half_of_a_character_is_named(self, imports: Imports) -> None:
        raw = b'{"guanxi": 1, "rules": [{"name": "\\ud800", "\\udfff": 1}]}'
        with pytest.raises(Mistakes) as caught:
            await imports.plan_import(ONE, raw, "merge")
        assert orjson.dumps(caught.value.details)
        assert {one.place for one in caught.value.shown} == {"rules[0]"}

    async def test_flows_of_the_book_may_be_started_unless_they_go(
        self, desk: Desk, imports: Imports
    ) -> None:
        await desk.do(desk.replies.flows.create, flow())
        raw = book(rules=[{**RULE, "answers": start("点单")}])
        assert (await imports.plan_import(ONE, raw, "merge")).counts["added"] == 1
        assert [place for place, _ in await refused(imports, raw, "replace")] == [
            "rules[0].answers[0][0].with.flow"
        ]

    async def test_a_name_that_several_rules_have_needs_an_id(
        self, desk: Desk, imports: Imports
    ) -> None:
        for word in ("甲", "乙"):
            await desk.do(desk.replies.rules.create, rule(word, name="咖啡"))
        assert await refused(imports, book(rules=[RULE])) == [
            ("rules[0]", "2 rules have this name; give the id of the one that is meant")
        ]
        first = (await exported(imports))["rules"][0]
        plan = await imports.plan_import(ONE, book(rules=[{**RULE, "id": first["id"]}]), "merge")
        assert brief(plan.changes) == [("changed", "rule", "咖啡")]

    async def test_two_entries_cannot_mean_one_rule(self, desk: Desk, imports: Imports) -> None:
        await take(desk, imports, book(rules=[RULE]))
        (known,) = (await exported(imports))["rules"]
        twice = [{**known, "name": "一"}, {**known, "name": "二"}]
        assert await refused(imports, book(rules=twice)) == [
            ("rules[1]", "means the same rule as rules[0]")
        ]


def test_a_change_of_nothing_is_a_change() -> None:
    assert Change("settings", 0, "settings", None, None).kind == "changed"


class TestSettings:
    async def test_a_merge_takes_what_goes_without_saying_too(
        self, desk: Desk, imports: Imports
    ) -> None:
        off = {"enabled": False, "silent_for": ["员工"], "synonyms": [["门", "大门"]]}
        await take(desk, imports, book(settings=off))
        await take(desk, imports, book(settings={"enabled": True, "silent_for": []}))
        assert (await exported(imports))["settings"] == {"synonyms": [["门", "大门"]]}

    async def test_saying_what_is_so_anyway_changes_nothing(
        self, desk: Desk, imports: Imports
    ) -> None:
        plan = await imports.plan_import(ONE, book(settings={"enabled": True}), "merge")
        assert plan.changes == ()


class TestByItself:
    """A file as a book of its own, as the tester reads it."""

    def test_rules_without_an_id_are_younger_than_those_that_have_one(
        self, imports: Imports
    ) -> None:
        read = imports.read_file(
            book(rules=[{**RULE, "name": "新"}, {**RULE, "name": "旧", "id": "7"}])
        )
        assert [one["name"] for _, one in sorted(read.of("rule"), key=lambda each: each[0])] == [
            "旧",
            "新",
        ]

    @pytest.mark.parametrize(
        "parts",
        [
            {"rules": [{**RULE, "id": "2"}, {**RULE, "id": "2", "name": "茶"}]},
            {"bindings": [BINDING, BINDING]},
            {"flows": [FLOW, FLOW]},
        ],
    )
    def test_two_that_are_one_are_a_mistake(self, imports: Imports, parts: Any) -> None:
        (section,) = parts
        with pytest.raises(Mistakes) as caught:
            imports.read_file(book(**parts))
        (mistake,) = caught.value.shown
        assert (mistake.place, mistake.problem) == (
            f"{section}[1]",
            f"the same as {section}[0]",
        )


HALF = "\ud800"


@pytest.mark.parametrize(
    ("place", "parts"),
    [
        ("settings.silent_for[0]", {"settings": {"silent_for": [HALF]}}),
        ("rules[0].name", {"rules": [{**RULE, "name": HALF}]}),
        ("rules[0].answers[0][0].with.text", {"rules": [{**RULE, "answers": [say(HALF)]}]}),
        (
            "flows[0].plan.steps[0].ask",
            {"flows": [{"name": "a", "plan": {"steps": [{"ask": HALF, "save_as": "a"}]}}]},
        ),
    ],
)
async def test_half_a_character_is_a_mistake(imports: Imports, place: str, parts: Any) -> None:
    with pytest.raises(Mistakes) as caught:
        await imports.plan_import(ONE, json.dumps({"guanxi": 1, **parts}).encode(), "merge")
    (mistake,) = caught.value.shown
    assert (mistake.place, mistake.chinese) == (place, "不能含半个代理对字符")


async def test_a_list_of_a_million_wrong_words_is_one_mistake(imports: Imports) -> None:
    wrong = {**RULE, "words": [1] * 100_000, "hours": {"weekdays": ["x"] * 100_000}}
    with pytest.raises(Mistakes) as caught:
        await imports.plan_import(ONE, book(rules=[wrong]), "merge")
    assert [(one.place, one.chinese) for one in caught.value.shown] == [
        ("rules[0].words", "最多 200 项"),
        ("rules[0].hours.weekdays", "最多 7 项"),
    ]
