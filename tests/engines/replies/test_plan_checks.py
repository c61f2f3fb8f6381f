from collections.abc import Mapping
from typing import Any

import pytest

from app.core.errors import Invalid
from app.engines.replies.plan_checks import checked
from app.engines.replies.plans import Doing, HandingOver, Question

ASK: Mapping[str, Any] = {"ask": "几位？", "expect": "number", "save_as": "size"}
TAG: Mapping[str, Any] = {"do": "tag", "with": {"names": ["来过"]}}


def plan(*steps: Mapping[str, Any], **other: Any) -> dict[str, Any]:
    return {"name": "订位", "steps": list(steps), **other}


def wrong(written: object) -> list[tuple[str, str]]:
    """Where, and what, in English."""
    try:
        checked(written)
    except Invalid as error:
        return [(str(e.details["field"]), str(e.details["problem"])) for e in error.every]
    return []


def test_each_sort_of_step_is_known() -> None:
    found = checked(plan(ASK, {"name": "记", "do": [TAG]}, {"name": "人", "hand_over": "请稍候"}))
    assert [type(step) for step in found.steps] == [Question, Doing, HandingOver]
    assert [found.called(place) for place in range(3)] == ["size", "记", "人"]
    assert checked(plan({"do": [TAG]})).called(0) == "#1"
    assert checked(found) is found


def test_everything_wrong_is_named_at_once_and_in_both_languages() -> None:
    written = plan(
        {**ASK, "minimum": 3, "maximum": 2, "earliest": "today", "next": "nowhere"},
        {"ask": "{typo}？", "save_as": "size", "pattern": "("},
        {"name": "end", "do": [TAG]},
    )
    found = wrong(written)
    assert [field for field, _ in found] == [
        "plan.steps[0].earliest",
        "plan.steps[0].minimum",
        "plan.steps[1].pattern",
        "plan.steps[1]",
        "plan.steps[2]",
        "plan.steps[0].next",
        "plan.steps[1]",
    ]
    with pytest.raises(Invalid) as caught:
        checked(written)
    assert all(one.chinese != one.details["problem"] for one in caught.value.every)


def test_places_are_named_without_the_sorts_of_steps() -> None:
    branches = [{"if": {"answer": "size", "at_least": [1]}, "go": "end"}, {"else": ""}]
    found = wrong(plan({**ASK, "next": branches}, {"do": []}, {"hand_over": " "}))
    assert {field.split(".at_least")[0] for field, _ in found} == {
        "plan.steps[0].next[0].if",
        "plan.steps[0].next[1].else",
        "plan.steps[1].do",
        "plan.steps[2].hand_over",
    }


class TestTheWay:
    def test_unknown_targets(self) -> None:
        branches = [{"if": {"answer": "size", "is": 1}, "go": "甲"}, {"else": "乙"}]
        assert wrong(plan({**ASK, "next": branches})) == [
            ("plan.steps[0].next", "there is no step 甲"),
            ("plan.steps[0].next", "there is no step 乙"),
        ]

    def test_steps_that_nothing_leads_to(self) -> None:
        lonely = {"ask": "？", "save_as": "a"}
        assert wrong(plan({**ASK, "next": "end"}, lonely)) == [
            ("plan.steps[1]", "no step leads to a")
        ]
        assert wrong(plan({"name": "人", "hand_over": "好"}, {**lonely, "next": "a"})) == [
            ("plan.steps[1]", "no step leads to a")
        ]

    @pytest.mark.parametrize(
        "branches",
        [
            [{"if": {"answer": "size", "is": 1}, "go": "end"}],
            [{"else": "end"}, {"if": {"answer": "size", "is": 1}, "go": "end"}],
            [{"else": "end"}, {"else": "size"}],
        ],
    )
    def test_the_else_is_last_and_alone(self, branches: list[Any]) -> None:
        ((field, problem),) = wrong(plan({**ASK, "next": branches}))
        assert field == "plan.steps[0].next"
        assert problem.startswith("the last branch")

    def test_going_round_without_a_question_is_refused(self) -> None:
        found = wrong(
            plan(
                ASK,
                {"name": "甲", "do": [TAG], "next": "乙"},
                {"name": "乙", "do": [TAG], "next": "甲"},
            )
        )
        assert found == [("plan.steps[1].next", "goes round without asking anything: 甲 → 乙 → 甲")]
        alone = wrong(plan({"name": "甲", "do": [TAG], "next": "甲"}))
        assert alone == [("plan.steps[0].next", "goes round without asking anything: 甲 → 甲")]

    def test_going_round_with_a_question_is_not(self) -> None:
        assert wrong(plan({**ASK, "next": "记"}, {"name": "记", "do": [TAG], "next": "size"})) == []

    def test_names(self) -> None:
        twice = {"ask": "？", "save_as": "size", "expect": "number"}
        assert wrong(plan(ASK, twice))[0][1].startswith("two steps save as size")
        assert wrong(plan(ASK, {**twice, "name": "再问"})) == []
        assert wrong(plan({**ASK, "name": "a"}, {**twice, "name": "a"})) == [
            ("plan.steps[1]", "two steps are named a")
        ]


class TestAnswers:
    def test_placeholders_need_an_earlier_step_on_some_way(self) -> None:
        asks = {"ask": "{size} 位？", "save_as": "b", "next": "end"}
        branches = [{"if": {"answer": "a", "is": "是"}, "go": "b"}, {"else": "size"}]
        first = {"ask": "？", "save_as": "a", "next": branches}
        found = wrong(plan(first, ASK, asks | {"next": "end"}, {"do": [TAG]}))
        assert ("plan.steps[3]", "no step leads to #4") in found
        assert wrong(plan(first, ASK, asks)) == [], "one of the two ways has asked for the size"
        assert wrong(plan(asks, {**ASK, "next": "end"}))[-1] == (
            "plan.steps[0]",
            "no earlier step saves {size}",
        )

    def test_going_round_a_question_may_tell_its_own_answer(self) -> None:
        again = [{"if": {"answer": "ok", "is": "是"}, "go": "end"}, {"else": "size"}]
        confirm = {"ask": "{size} 位，对吗？", "save_as": "ok", "next": again}
        assert wrong(plan({**ASK, "ask": "几位？（刚才是 {ok}）"}, confirm)) == []

    @pytest.mark.parametrize(
        ("condition", "problem"),
        [
            ({"answer": "other", "is": 1}, "no earlier step saves {other}"),
            ({"answer": "size"}, "asks nothing"),
            ({"answer": "size", "at_least": "today"}, "compares numbers"),
            ({"answer": "size", "at_most": "viele"}, "compares numbers"),
            ({"answer": "day", "at_least": 3}, "compares numbers"),
            ({"answer": "day", "at_least": "2026-02-30"}, "compares numbers"),
            ({"answer": "day", "at_least": "+5"}, "compares numbers"),
        ],
    )
    def test_conditions_that_can_never_be_meant(
        self, condition: dict[str, Any], problem: str
    ) -> None:
        day = {"ask": "哪天？", "expect": "date", "save_as": "day"}
        last = {"ask": "好？", "save_as": "ok", "next": [{"if": condition, "go": "end"}]}
        last["next"] = [{"if": condition, "go": "end"}, {"else": "end"}]
        ((_, said),) = wrong(plan(ASK, day, last))
        assert problem in said

    @pytest.mark.parametrize(
        "condition",
        [
            {"answer": "size", "at_least": 2, "at_most": 3.5},
            {"answer": "day", "at_least": "today", "at_most": "+30d"},
            {"answer": "day", "at_most": "2026-05-01"},
            {"answer": "size", "in": [1, 2, "三"]},
            {"answer": "size", "given": False},
        ],
    )
    def test_conditions_that_may(self, condition: dict[str, Any]) -> None:
        day = {"ask": "哪天？", "expect": "date", "save_as": "day"}
        last = {
            "ask": "好？",
            "save_as": "ok",
            "next": [{"if": condition, "go": "end"}, {"else": "end"}],
        }
        assert wrong(plan(ASK, day, last)) == []


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        ({"expect": "number", "pattern": "a"}, "pattern is for expect: text"),
        ({"expect": "date", "max_length": 5}, "max_length is for expect: text"),
        ({"expect": "text", "latest": "today"}, "latest is for expect: date"),
        ({"expect": "date", "earliest": "+3d", "latest": "today"}, "earliest is after latest"),
        ({"expect": "date", "earliest": "2026-02-30"}, "there is no day 2026-02-30"),
        ({"expect": "date", "earliest": "bald"}, "pattern"),
        ({"pattern": "(a"}, "missing"),
        ({"max_length": 501}, "less than or equal to 500"),
    ],
)
def test_limits_that_are_refused(step: dict[str, Any], problem: str) -> None:
    ((_, said),) = wrong(plan({"ask": "？", "save_as": "a", **step}))
    assert problem in said
