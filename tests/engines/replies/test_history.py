"""Each change is one version, and every version can be had again."""

import asyncio
from functools import partial
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from app.db.tx import Tx
from app.engines.replies.book_settings import BookSettings
from app.engines.replies.changes import Change, differences, net
from app.engines.replies.compiled import compile_book
from app.engines.replies.errors import NoSuchVersion, VersionConflict, VersionGone
from app.engines.replies.history import list_revisions
from app.engines.replies.imports import Imports
from app.engines.replies.models import Binding, Book, Revision, Rule
from app.engines.replies.standing import stored_of
from tests.engines.replies.conftest import ONE, STAFF, TWO, Desk, binding, flow, rule, say


@pytest.fixture
def imports(desk: Desk) -> Imports:
    return Imports(desk.database, desk.replies)


async def back(desk: Desk, imports: Imports, version: int) -> int:
    """Rolled back; the version that made."""
    plan = await imports.plan_rollback(ONE, version)
    return await desk.database.transaction(
        lambda tx: imports.apply(tx, STAFF, ONE, plan, source="rollback")
    )


async def export(imports: Imports) -> str:
    return (await imports.export(ONE, "yaml"))[0]


class TestRecord:
    async def test_every_change_is_a_version_with_what_it_did(
        self, desk: Desk, imports: Imports
    ) -> None:
        made = await desk.do(desk.replies.rules.create, rule("咖啡", name="甲"))
        await desk.do(desk.replies.rules.update, made.id, rule("茶", name="乙"), version=1)
        bound = await desk.do(desk.replies.bindings.create, binding("menu", "a"))
        await desk.do(desk.replies.flows.create, flow())
        await desk.do(desk.replies.put_settings, BookSettings(enabled=False), version=4)
        await desk.do(desk.replies.bindings.delete, bound.id)
        views, following = await desk.database.read(lambda tx: list_revisions(tx, ONE))
        assert following is None
        assert [(v.version, v.source, v.actor) for v in views] == [
            (number, "edit", "token:9") for number in range(6, 0, -1)
        ]
        changes = []
        for number in range(1, 7):
            _, (change,) = await imports.revision(ONE, number)
            changes.append((change.kind, change.what, change.name))
        assert changes == [
            ("added", "rule", "甲"),
            ("changed", "rule", "乙"),
            ("added", "binding", "menu a"),
            ("added", "flow", "点单"),
            ("added", "settings", "settings"),
            ("removed", "binding", "menu a"),
        ]
        _, (change,) = await imports.revision(ONE, 2)
        assert {one.field: (one.before, one.after) for one in change.fields} == {
            "name": ("甲", "乙"),
            "words[0]": ("咖啡", "茶"),
        }
        assert change.id == made.id

    async def test_a_refused_change_leaves_no_version(self, desk: Desk) -> None:
        made = await desk.do(desk.replies.rules.create, rule("咖啡"))
        with pytest.raises(VersionConflict):
            await desk.do(desk.replies.rules.update, made.id, rule("茶"), version=7)
        with pytest.raises(VersionConflict):
            await desk.do(desk.replies.put_settings, BookSettings(), version=7)
        assert [row.version for row in await desk.rows(select(Revision.version))] == [1]

    async def test_pages_go_on_where_the_one_before_ended(self, desk: Desk) -> None:
        for n in range(5):
            await desk.do(desk.replies.rules.create, rule(f"词{n}"))
        await desk.do(desk.replies.rules.create, rule("别家"), account=TWO)
        seen: list[int] = []
        before: int | None = None
        for _ in range(3):
            views, before = await desk.database.read(
                partial(list_revisions, account_id=ONE, before=before, limit=2)
            )
            seen += [view.version for view in views]
        assert (seen, before) == ([5, 4, 3, 2, 1], None)

    async def test_parallel_changes_are_numbered_without_gap_or_double(self, desk: Desk) -> None:
        changes = [desk.do(desk.replies.rules.create, rule(f"词{n}")) for n in range(20)]
        await asyncio.gather(*changes)
        rows = await desk.rows(select(Revision.version).order_by(Revision.version))
        assert [row.version for row in rows] == list(range(1, 21))
        assert (await desk.rows(select(Book.version)))[0][0] == 20


class TestRollback:
    async def test_restores_with_the_same_ids(self, desk: Desk, imports: Imports) -> None:
        first = await desk.do(desk.replies.rules.create, rule("咖啡", name="甲"))
        await desk.do(desk.replies.rules.create, rule("茶", name="乙"))
        before = await export(imports)
        await desk.do(desk.replies.rules.delete, first.id)
        assert await back(desk, imports, 2) == 4
        assert await export(imports) == before
        view = await desk.database.read(lambda tx: desk.replies.rules.get(tx, ONE, first.id))
        assert (view.words, view.version) == (("咖啡",), 2)
        assert view.created_at == first.created_at or view.created_at < view.updated_at
        revision, (change,) = await imports.revision(ONE, 4)
        assert (revision.source, change.kind, change.id) == ("rollback", "added", first.id)

    async def test_can_be_taken_back_itself(self, desk: Desk, imports: Imports) -> None:
        made = await desk.do(desk.replies.rules.create, rule("咖啡"))
        await desk.do(desk.replies.rules.update, made.id, rule("茶"), version=1)
        after = await export(imports)
        await back(desk, imports, 0)
        assert (await imports.book_at(ONE, 3)).things == {}
        await back(desk, imports, 2)
        assert await export(imports) == after
        view = await desk.database.read(lambda tx: desk.replies.rules.get(tx, ONE, made.id))
        assert view.version == 3

    async def test_swaps_what_no_two_may_share(self, desk: Desk, imports: Imports) -> None:
        one = await desk.do(desk.replies.bindings.create, binding("menu", "a"))
        two = await desk.do(desk.replies.bindings.create, binding("menu", "b"))
        f1 = await desk.do(desk.replies.flows.create, flow("甲"))
        f2 = await desk.do(desk.replies.flows.create, flow("乙"))
        before = await export(imports)
        for number, key, version in ((one.id, "c", 1), (two.id, "a", 1), (one.id, "b", 2)):
            changed = binding("menu", key)
            await desk.do(desk.replies.bindings.update, number, changed, version=version)
        for number, name, version in ((f1.id, "丙", 1), (f2.id, "甲", 1), (f1.id, "乙", 2)):
            await desk.do(desk.replies.flows.update, number, flow(name), version=version)
        await back(desk, imports, 4)
        assert await export(imports) == before
        rows = await desk.rows(
            select(Binding.id, Binding.key, Binding.version).order_by(Binding.id)
        )
        assert [tuple(row) for row in rows] == [(one.id, "a", 4), (two.id, "b", 3)]

    async def test_brings_settings_back(self, desk: Desk, imports: Imports) -> None:
        await desk.do(desk.replies.put_settings, BookSettings(silent_for=("员工",)), version=0)
        await desk.do(desk.replies.put_settings, BookSettings(enabled=False), version=1)
        await back(desk, imports, 1)
        assert (await imports.book_at(ONE, 3)).settings == {"silent_for": ["员工"]}
        await back(desk, imports, 0)
        assert (await desk.rows(select(Book.settings)))[0][0] is None

    async def test_to_the_present_changes_nothing(self, desk: Desk, imports: Imports) -> None:
        await desk.do(desk.replies.rules.create, rule("咖啡"))
        plan = await imports.plan_rollback(ONE, 1)
        assert (plan.changes, plan.unchanged) == ((), 1)
        assert await back(desk, imports, 1) == 1

    async def test_is_refused_when_somebody_changed_the_book_meanwhile(
        self, desk: Desk, imports: Imports
    ) -> None:
        await desk.do(desk.replies.rules.create, rule("咖啡"))
        plan = await imports.plan_rollback(ONE, 0)
        await desk.do(desk.replies.rules.create, rule("茶"))
        with pytest.raises(VersionConflict) as caught:
            await desk.database.transaction(
                lambda tx: imports.apply(tx, STAFF, ONE, plan, source="rollback")
            )
        assert caught.value.details == {"current": 2}
        with pytest.raises(VersionConflict):
            await imports.plan_rollback(ONE, 0, expect=1)
        assert len(await desk.rows(select(Rule.id))) == 2

    async def test_reaches_back_as_far_as_versions_were_kept(
        self, desk: Desk, imports: Imports
    ) -> None:
        for n in range(4):
            await desk.do(desk.replies.rules.create, rule(f"词{n}"))

        async def forget(tx: Tx) -> None:
            await tx.run(delete(Revision).where(Revision.version <= 2))

        await desk.database.transaction(forget)
        assert (await imports.plan_rollback(ONE, 2)).counts["removed"] == 2
        for version in (0, 1):
            with pytest.raises(VersionGone) as caught:
                await imports.plan_rollback(ONE, version)
            assert caught.value.details == {"version": version, "oldest": 2}
        with pytest.raises(VersionGone):
            await imports.revision(ONE, 2)

    @pytest.mark.parametrize("version", [-1, 2])
    async def test_to_what_never_was_is_refused(
        self, desk: Desk, imports: Imports, version: int
    ) -> None:
        await desk.do(desk.replies.rules.create, rule("咖啡"))
        with pytest.raises(NoSuchVersion):
            await imports.plan_rollback(ONE, version)
        with pytest.raises(NoSuchVersion):
            await imports.revision(ONE, version)

    async def test_a_thing_that_is_not_as_planned_stops_it(
        self, desk: Desk, imports: Imports
    ) -> None:
        """Written past the book's lock, as a repair by hand might be."""
        made = await desk.do(desk.replies.rules.create, rule("咖啡"))
        await desk.do(desk.replies.rules.update, made.id, rule("茶"), version=1)
        plan = await imports.plan_rollback(ONE, 1)

        async def past(tx: Tx) -> None:
            await tx.run(update(Rule).values(version=9))

        await desk.database.transaction(past)
        with pytest.raises(VersionConflict):
            await desk.database.transaction(
                lambda tx: imports.apply(tx, STAFF, ONE, plan, source="rollback")
            )
        assert (await desk.rows(select(Book.version)))[0][0] == 2


async def test_the_difference_of_two_versions_is_what_is_left_of_it(
    desk: Desk, imports: Imports
) -> None:
    made = await desk.do(desk.replies.rules.create, rule("一", name="甲"))
    gone = await desk.do(desk.replies.rules.create, rule("x", name="乙"))
    await desk.do(desk.replies.rules.update, made.id, rule("二", name="甲"), version=1)
    await desk.do(desk.replies.rules.delete, gone.id)
    await desk.do(desk.replies.rules.update, made.id, rule("三", name="甲"), version=2)
    (change,) = await imports.difference(ONE, 1, 5)
    assert [(f.field, f.before, f.after) for f in change.fields] == [("words[0]", "一", "三")]
    (change,) = await imports.difference(ONE, 5, 1)
    assert [(f.field, f.before, f.after) for f in change.fields] == [("words[0]", "三", "一")]
    assert await imports.difference(ONE, 3, 3) == []
    removed, changed = await imports.difference(ONE, 2, 4)
    assert (removed.kind, changed.kind) in (("removed", "changed"), ("changed", "removed"))


async def test_a_book_as_it_was_answers_as_it_did(desk: Desk, imports: Imports) -> None:
    made = await desk.do(desk.replies.rules.create, rule("咖啡", name="甲"))
    await desk.do(desk.replies.rules.create, rule("咖啡", name="乙", enabled=False))
    await desk.do(desk.replies.bindings.create, binding("follow", answers=[say("欢迎")]))
    await desk.do(desk.replies.flows.create, flow())
    await desk.book.refresh()
    then = desk.book.current(ONE)
    await desk.do(desk.replies.rules.delete, made.id)
    old = stored_of(await imports.book_at(ONE, 4))
    compiled = compile_book(old, desk.replies.rules._tools.registry)
    assert compiled.version == 4
    assert compiled.matcher.explain("咖啡") == then.matcher.explain("咖啡")
    assert dict(compiled.bindings) == dict(then.bindings)
    assert compiled.flows.keys() == then.flows.keys()


class TestNet:
    def change(self, before: Any, after: Any, number: int = 1) -> Change:
        def written(value: Any) -> Any:
            return None if value is None else {"name": value, "version": 1}

        return Change("rule", number, "x", written(before), written(after))

    def test_is_the_first_before_and_the_last_after(self) -> None:
        (found,) = net([self.change("a", "b"), self.change("b", "c")])
        assert (found.before, found.after) == (
            {"name": "a", "version": 1},
            {"name": "c", "version": 1},
        )

    def test_leaves_out_what_came_to_nothing(self) -> None:
        assert net([self.change(None, "a"), self.change("a", None)]) == []
        assert net([self.change("a", "b"), self.change("b", "a")]) == []


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"b": 2}, [("a", 1, None), ("b", None, 2)]),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, [("a[1].b", 2, 3)]),
        ({"a": [1]}, {"a": [1, 2]}, [("a", [1], [1, 2])]),
        ({"a": "xy"}, {"a": "xz"}, [("a", "xy", "xz")]),
        ({"a": None}, {"a": {"b": 1}}, [("a", None, {"b": 1})]),
    ],
)
def test_differences_name_the_smallest_part(
    before: dict[str, Any], after: dict[str, Any], found: list[tuple[str, Any, Any]]
) -> None:
    assert [(d.field, d.before, d.after) for d in differences(before, after)] == found


async def test_history_from_before_versions_were_kept_is_refused_plainly(
    desk: Desk, imports: Imports
) -> None:
    """A book of the first release has a version and no history."""

    async def old(tx: Tx) -> None:
        await tx.run(insert(Book), {"account_id": ONE, "version": 7})

    await desk.database.transaction(old)
    await desk.do(desk.replies.rules.create, rule("咖啡"))
    assert await back(desk, imports, 7) == 9
    with pytest.raises(VersionGone) as caught:
        await imports.plan_rollback(ONE, 6)
    assert caught.value.say("en") == (
        "What version 6 was is not on record; the oldest that can be had is 7"
    )
