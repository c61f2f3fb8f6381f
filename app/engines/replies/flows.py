"""A dialogue ready to run: the plan, with its actions parsed. Pure."""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from app.core.actions import Action, ActionRegistry
from app.core.errors import Invalid
from app.core.problems import all_of
from app.engines.replies.plan_graph import places
from app.engines.replies.plans import Doing, FlowPlan, HandingOver, Question

HAND_OVER = "handoff"
"""The action that hands over to a person; it belongs to another engine."""
START = "start_flow"
"""The action that begins a dialogue."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A plan with its actions ready to run."""

    plan: FlowPlan
    finish: tuple[Action, ...]
    done: Mapping[int, tuple[Action, ...]] = field(default_factory=dict)
    """What acting and handing-over steps do, by place."""
    places: Mapping[str, int] = field(default_factory=dict)
    """Each step's place by its name."""
    blank: Mapping[str, str] = field(default_factory=dict)
    """Every name that an answer may be saved as, with nothing."""
    person: Action | None = None
    """Hands over to a person; None where nothing can."""
    id: int = 0
    version: int = 0
    """As staff know it."""

    @property
    def edition(self) -> int:
        """What a follower's state remembers of the version."""
        return edition_of(self.id, self.version)


def edition_of(number: int, version: int) -> int:
    """A number of 31 bits for id and version; 0 without an id.

    The version alone would not do: a flow deleted and made anew under the same name counts from the
    beginning.
    """
    return zlib.crc32(f"{number}:{version}".encode()) & 0x7FFFFFFF if number else 0


def prepare(plan: FlowPlan, registry: ActionRegistry, *, number: int = 0, version: int = 0) -> Flow:
    """Raises `Invalid` for actions that are unknown or wrong, all of them.

    Of several flows begun at once only the last would go on, and flows that begin each other so would
    grow tenfold with each round.
    """
    wrong: list[Invalid] = []
    parse = partial(_parsed, registry, wrong)
    done: dict[int, tuple[Action, ...]] = {}
    for place, step in enumerate(plan.steps):
        at = f"plan.steps[{place}]"
        if isinstance(step, Doing):
            done[place] = parse(step.do, f"{at}.do")
        elif isinstance(step, HandingOver):
            done[place] = parse([_hand_over(step.hand_over)], f"{at}.hand_over")
    finish = parse(plan.finish, "plan.finish")
    if wrong:
        raise all_of(wrong)
    return Flow(
        plan,
        finish,
        done=done,
        places=places(plan),
        blank={step.save_as: "" for step in plan.steps if isinstance(step, Question)},
        person=registry.parse(_hand_over()) if HAND_OVER in registry.names else None,
        id=number,
        version=version,
    )


def _hand_over(words: str = "") -> dict[str, Any]:
    return {"do": HAND_OVER, "with": {"text": words} if words else {}}


def _parsed(
    registry: ActionRegistry,
    wrong: list[Invalid],
    written: Iterable[Mapping[str, Any]],
    field: str,
) -> tuple[Action, ...]:
    found: list[Action] = []
    for number, one in enumerate(written):
        try:
            found.append(registry.parse(one, field=f"{field}[{number}]"))
        except Invalid as error:
            wrong.append(error)
    if sum(action.name == START for action in found) > 1:
        wrong.append(
            Invalid(
                field=field,
                problem=f"begins more than one flow; only one {START} may stand in a list",
                chinese=f"一次开始了多个流程；一个列表里只能有一个 {START}",
            )
        )
    return tuple(found)


def written_form(flow: Flow) -> dict[str, Any]:
    """The plan as it is stored: without its name and what goes without saying."""
    written = flow.plan.model_dump(
        mode="json", exclude={"name"}, exclude_defaults=True, by_alias=True
    )
    written["finish"] = [action.written() for action in flow.finish]
    for place, step in enumerate(flow.plan.steps):
        if isinstance(step, Doing):
            written["steps"][place]["do"] = [action.written() for action in flow.done[place]]
    return written


def actions_of(written: Mapping[str, Any]) -> list[list[Mapping[str, Any]]]:
    """All lists of actions in a stored plan."""
    steps = [step["do"] for step in written.get("steps", ()) if "do" in step]
    return [list(written.get("finish", ())), *map(list, steps)]
