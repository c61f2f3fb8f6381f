"""The one vocabulary of actions.

Keyword rules, menu keys, scanned codes, follows, flow steps and, later, macros and journeys all run
the same registered actions. In stored and written form an action is
`{"do": "reply", "with": {"kind": "text", "text": "…"}}`.

An action is a pydantic model: its fields are its settings, checked when a rule is saved.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from app.core.decisions import KEEP, Decision, FlowState, Keep, Snapshot, Step
from app.core.errors import Invalid
from app.core.problems import invalid


class Action(BaseModel, ABC):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    """The word after `do`."""
    needs_send: ClassVar[bool] = False
    """Whether the account must be able to send customer messages."""

    hears: ClassVar[bool] = False
    """Whether it may use what was said beside the words of the rule (`Snapshot.called_by`)."""

    @abstractmethod
    def decide(self, snap: Snapshot) -> Decision:
        """What this action does for this contact; pure."""

    @abstractmethod
    def preview(self) -> str:
        """One line for lists and dry runs, in Chinese."""

    def written(self) -> dict[str, Any]:
        """The stored form."""
        return {"do": self.name, "with": self.model_dump(mode="json", exclude_defaults=True)}


class ActionRegistry:
    """Knows every action by its name."""

    def __init__(self, actions: Iterable[type[Action]] = ()) -> None:
        self._by_name: dict[str, type[Action]] = {}
        for action in actions:
            self.add(action)

    def add(self, action: type[Action]) -> None:
        """Raises `ValueError` when the name is taken by another class."""
        if self._by_name.setdefault(action.name, action) is not action:
            raise ValueError(f"two actions are named {action.name!r}")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._by_name))

    def parse(self, written: object, *, field: str = "answers") -> Action:
        """The action a stored form stands for.

        Raises `Invalid` naming the field (`answers[0][1].with.text`) and what is wrong with it.
        """
        if not isinstance(written, Mapping) or set(written) - {"do", "with"}:
            raise Invalid(
                field=field,
                problem='expected {"do": …, "with": {…}}',
                chinese='须为 {"do": …, "with": {…}}',
            )
        name = written.get("do")
        action = self._by_name.get(name) if isinstance(name, str) else None
        if action is None:
            known = ", ".join(self.names)
            raise Invalid(
                field=f"{field}.do",
                problem=f"unknown action {name!r}; known: {known}",
                chinese=f"没有动作 {name!r}；可用：{known}",
            )
        try:
            return action.model_validate(written.get("with", {}))
        except ValidationError as error:
            raise invalid(error, f"{field}.with") from error


def run(actions: Sequence[Action], snap: Snapshot, why: Mapping[str, Any]) -> Decision:
    """The decisions of several actions as one: steps in order, the last word on the flow and on who
    answers apart wins.

    `why` names who runs them; what an action adds of its own, such as the flow it began, stays."""
    steps: list[Step] = []
    flow: FlowState | Keep | None = KEEP
    apart: str | None = None
    for action in actions:
        part = action.decide(snap)
        steps.extend(part.steps)
        if part.flow is not KEEP:
            flow = part.flow
        apart = part.apart or apart
        if part.why:
            why = {**part.why, **why}
    return Decision(steps=tuple(steps), flow=flow, why=why, apart=apart)
