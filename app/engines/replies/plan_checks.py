"""What is wrong with a written plan: everything at once, in both languages. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date

import re2
from pydantic import ValidationError

from app.core.errors import Invalid
from app.core.problems import all_of, place, problem
from app.core.text import normalise
from app.engines.replies.answers import compiled, day_bound
from app.engines.replies.patterns import BadPattern, check_pattern
from app.engines.replies.placeholders import names_in
from app.engines.replies.plan_graph import (
    edges,
    places,
    reachable,
    saved_before,
    silent_cycle,
    targets,
)
from app.engines.replies.plans import (
    END,
    Branch,
    Condition,
    Doing,
    FlowPlan,
    HandingOver,
    Next,
    Otherwise,
    Question,
)

_SOME_DAY = date(2026, 1, 1)
"""Two limits relative to today compare alike on any day."""


def checked(written: object, *, field: str = "plan") -> FlowPlan:
    """The plan of a written flow. Raises `Invalid` naming everything that is wrong with it."""
    try:
        plan = FlowPlan.model_validate(written)
    except ValidationError as error:
        raise all_of(_found(error, field)) from error
    wrong = list(mistakes(plan, field))
    if wrong:
        raise all_of(wrong)
    return plan


def _found(error: ValidationError, field: str) -> Iterator[Invalid]:
    """Marks of which sort of step it is (`~ask`) are the program's own. A list that is found too
    short because its items are wrong, is not told too."""
    every = error.errors(include_url=False)
    for one in every:
        inside = [other for other in every if other["loc"][: len(one["loc"])] == one["loc"]]
        if one["type"] == "too_short" and len(inside) > 1:
            continue
        where = [part for part in one["loc"] if not str(part).startswith("~")]
        yield Invalid(
            field=place(where, field), problem=problem(one, "en"), chinese=problem(one, "zh")
        )


def mistakes(plan: FlowPlan, field: str = "plan") -> Iterator[Invalid]:
    """What is wrong with a plan whose parts are each well formed."""
    for number, step in enumerate(plan.steps):
        if isinstance(step, Question):
            yield from _question(step, f"{field}.steps[{number}]")
    yield from _names(plan, field)
    unknown = list(_targets(plan, field))
    yield from unknown
    graph = edges(plan)
    if not unknown:
        yield from _unreachable(plan, graph, field)
    cycle = silent_cycle(plan, graph)
    if cycle:
        way = " → ".join(plan.called(one) for one in [*cycle, cycle[0]])
        yield Invalid(
            field=f"{field}.steps[{cycle[0]}].next",
            problem=f"goes round without asking anything: {way}",
            chinese=f"一直绕圈而不提问：{way}",
        )
    before = saved_before(plan)
    yield from _placeholders(plan, before, field)
    yield from _conditions(plan, before, field)


# --- one question ---------------------------------------------------------------------------------


def _question(step: Question, field: str) -> Iterator[Invalid]:
    if (step.expect == "choice") != bool(step.choices):
        yield Invalid(
            field=f"{field}.choices",
            problem="choices are needed for, and only for, expect: choice",
            chinese="expect 为 choice 时要有 choices，其他时候不能有",
        )
    if len({normalise(c) for c in step.choices}) != len(step.choices):
        yield Invalid(
            field=f"{field}.choices", problem="two choices read the same", chinese="有两个选项相同"
        )
    yield from _misplaced(step, field)
    yield from _limits(step, field)
    if step.pattern:
        yield from _pattern(step.pattern, f"{field}.pattern")


_ONLY_FOR: Mapping[str, str] = {
    "minimum": "number",
    "maximum": "number",
    "earliest": "date",
    "latest": "date",
    "pattern": "text",
    "max_length": "text",
}


def _misplaced(step: Question, field: str) -> Iterator[Invalid]:
    for name, expect in _ONLY_FOR.items():
        default = type(step).model_fields[name].default
        if step.expect != expect and getattr(step, name) != default:
            yield Invalid(
                field=f"{field}.{name}",
                problem=f"{name} is for expect: {expect}",
                chinese=f"{name} 只用于 expect: {expect}",
            )


def _limits(step: Question, field: str) -> Iterator[Invalid]:
    low, high = step.minimum, step.maximum
    if low is not None and high is not None and low > high:
        yield Invalid(
            field=f"{field}.minimum",
            problem="minimum is above maximum",
            chinese="minimum 大于 maximum",
        )
    yield from _days(step, field)


def _days(step: Question, field: str) -> Iterator[Invalid]:
    for name in ("earliest", "latest"):
        written = getattr(step, name)
        if written is not None and not _is_day(written):
            yield Invalid(
                field=f"{field}.{name}",
                problem=f"there is no day {written}",
                chinese=f"没有 {written} 这一天",
            )
            return
    first, last = step.earliest, step.latest
    if first is None or last is None or first[:1].isdigit() != last[:1].isdigit():
        return
    if day_bound(first, _SOME_DAY) > day_bound(last, _SOME_DAY):
        yield Invalid(
            field=f"{field}.earliest",
            problem="earliest is after latest",
            chinese="earliest 晚于 latest",
        )


def _is_day(written: str) -> bool:
    try:
        date.fromisoformat(day_bound(written, _SOME_DAY))
    except ValueError:
        return False
    return True


def _pattern(pattern: str, field: str) -> Iterator[Invalid]:
    try:
        check_pattern(pattern)
        compiled(pattern)
    except (BadPattern, re2.error) as error:
        yield Invalid(field=field, problem=str(error), chinese=f"正则表达式不可用：{error}")


# --- the way through ------------------------------------------------------------------------------


def _names(plan: FlowPlan, field: str) -> Iterator[Invalid]:
    named = [plan.called(place) for place in range(len(plan.steps))]
    for name, times in Counter(named).items():
        if times == 1 and name != END:
            continue
        at = named.index(name) if name == END else named.index(name, named.index(name) + 1)
        step = plan.steps[at]
        by_default = isinstance(step, Question) and step.name is None
        if name == END:
            words = (
                "`end` stands for the end; name the step otherwise",
                "end 表示结束，请换个名字",
            )
        elif by_default:
            words = (
                f"two steps save as {name}; give one of them a name",
                f"有两步都存为 {name}；请给其中一步起名（name）",
            )
        else:
            words = (f"two steps are named {name}", f"有两步都叫 {name}")
        yield Invalid(field=f"{field}.steps[{at}]", problem=words[0], chinese=words[1])


def _targets(plan: FlowPlan, field: str) -> Iterator[Invalid]:
    known = {END, *places(plan)}
    for number, step in enumerate(plan.steps):
        if isinstance(step, HandingOver) or step.next is None:
            continue
        at = f"{field}.steps[{number}].next"
        for name in dict.fromkeys(targets(step.next)):
            if name not in known:
                yield Invalid(
                    field=at, problem=f"there is no step {name}", chinese=f"没有名为 {name} 的步骤"
                )
        yield from _else(step.next, at)


def _else(following: Next, field: str) -> Iterator[Invalid]:
    if isinstance(following, str):
        return
    at = [place for place, one in enumerate(following) if isinstance(one, Otherwise)]
    if at != [len(following) - 1]:
        yield Invalid(
            field=field,
            problem='the last branch, and only that, has to be {"else": …}',
            chinese='分支的最后一项（也只能是最后一项）须为 {"else": …}',
        )


def _unreachable(plan: FlowPlan, graph: list[list[int]], field: str) -> Iterator[Invalid]:
    for place_ in sorted(set(range(len(plan.steps))) - reachable(graph, [0])):
        name = plan.called(place_)
        yield Invalid(
            field=f"{field}.steps[{place_}]",
            problem=f"no step leads to {name}",
            chinese=f"没有步骤通向 {name}",
        )


# --- answers --------------------------------------------------------------------------------------


def _placeholders(plan: FlowPlan, before: list[set[str]], field: str) -> Iterator[Invalid]:
    for number, step in enumerate(plan.steps):
        yield from _unsaved(_used(step) - before[number], f"{field}.steps[{number}]")
    yield from _unsaved(names_in(plan.finish) - before[-1], f"{field}.finish")


def _used(step: Question | Doing | HandingOver) -> set[str]:
    if isinstance(step, Question):
        return names_in([step.ask, step.retry])
    return names_in(step.do if isinstance(step, Doing) else step.hand_over)


def _unsaved(names: set[str], field: str) -> Iterator[Invalid]:
    for name in sorted(names):
        yield Invalid(
            field=field,
            problem=f"no earlier step saves {{{name}}}",
            chinese=f"前面没有步骤保存 {{{name}}}",
        )


def _conditions(plan: FlowPlan, before: list[set[str]], field: str) -> Iterator[Invalid]:
    kinds: dict[str, set[str]] = {}
    for step in plan.steps:
        if isinstance(step, Question):
            kinds.setdefault(step.save_as, set()).add(step.expect)
    for number, step in enumerate(plan.steps):
        if isinstance(step, HandingOver) or step.next is None or isinstance(step.next, str):
            continue
        own = {step.save_as} if isinstance(step, Question) else set()
        for place_, branch in enumerate(step.next):
            if isinstance(branch, Branch):
                at = f"{field}.steps[{number}].next[{place_}].if"
                yield from _condition(branch.if_, before[number] | own, kinds, at)


def _condition(
    condition: Condition, known: set[str], kinds: Mapping[str, set[str]], field: str
) -> Iterator[Invalid]:
    name = condition.answer
    if name not in known:
        yield from _unsaved({name}, field)
        return
    if not condition.model_fields_set - {"answer"}:
        yield Invalid(field=field, problem="asks nothing of the answer", chinese="没有写条件")
    for demand in ("at_least", "at_most"):
        limit = getattr(condition, demand)
        wanted = "number" if isinstance(limit, int | float) else "date"
        if limit is None:
            continue
        if kinds[name] != {wanted} or (wanted == "date" and not _is_limit(str(limit))):
            yield Invalid(
                field=f"{field}.{demand}",
                problem=f"{demand} compares numbers, and days (today, +30d, 2026-05-01)",
                chinese=f"{demand} 只能比较数字，或日期（today、+30d、2026-05-01）",
            )


def _is_limit(written: str) -> bool:
    if written == "today":
        return True
    if written[:1] in ("+", "-") and written[-1:] == "d":
        return written[1:-1].isdecimal() and len(written) <= 6
    return _is_day(written) if len(written) == 10 else False
