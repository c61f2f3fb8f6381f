"""What a conversation was to bring, held against what came; and two books held against each other. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import re2

from app.conversation.script import Expectation
from app.conversation.tester import Came, Outcome, StepOutcome


@dataclass(frozen=True, slots=True)
class Failure:
    """One expectation that was not met."""

    what: str
    wanted: Any
    came: Any


@dataclass(frozen=True, slots=True)
class Judged:
    """One step and what of it was not as expected."""

    step: StepOutcome
    failures: tuple[Failure, ...]

    @property
    def expected(self) -> bool:
        """Whether anything was expected at all."""
        return self.step.step.expect is not None


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: Outcome
    steps: tuple[Judged, ...]

    @property
    def passed(self) -> bool:
        return not any(judged.failures for judged in self.steps)


@dataclass(frozen=True, slots=True)
class Changed:
    """A step that two books answer differently."""

    conversation: str
    number: int
    label: str
    before: Came
    now: Came


def judge(outcome: Outcome) -> Verdict:
    """Every expectation of a conversation, step by step."""
    return Verdict(outcome, tuple(Judged(step, _failures(step)) for step in outcome.steps))


def differences(before: Sequence[Outcome], now: Sequence[Outcome]) -> list[Changed]:
    """The steps whose answers differ between two runs of the same conversations."""
    return [
        Changed(old.conversation.name, one.number, one.step.label, one.came, other.came)
        for old, new in zip(before, now, strict=True)
        for one, other in zip(old.steps, new.steps, strict=True)
        if one.came is not None and other.came is not None and one.came.seen != other.came.seen
    ]


def _failures(step: StepOutcome) -> tuple[Failure, ...]:
    expected, came = step.step.expect, step.came
    if expected is None or came is None:
        return ()
    found: list[Failure] = []
    for what, check in _CHECKS.items():
        if what in expected.named:
            failure = check(what, expected, came)
            if failure is not None:
                found.append(failure)
    return tuple(found)


def _text(what: str, expected: Expectation, came: Came) -> Failure | None:
    wanted = expected.text or ()
    if came.text in wanted:
        return None
    return Failure(what, wanted[0] if len(wanted) == 1 else list(wanted), came.text)


def _contains(what: str, expected: Expectation, came: Came) -> Failure | None:
    missing = [words for words in expected.contains or () if words not in came.text]
    if not missing:
        return None
    return Failure(what, missing[0] if len(missing) == 1 else missing, came.text)


def _matches(what: str, expected: Expectation, came: Came) -> Failure | None:
    pattern = expected.matches or ""
    return None if re2.search(pattern, came.text) else Failure(what, pattern, came.text)


def _binding(what: str, expected: Expectation, came: Came) -> Failure | None:
    wanted = expected.binding
    if wanted == came.binding or (came.binding and wanted == came.binding.partition(" ")[2]):
        return None
    return Failure(what, wanted, came.binding)


def _tags(what: str, expected: Expectation, came: Came) -> Failure | None:
    missing = [tag for tag in expected.tags or () if tag not in came.tags]
    return Failure(what, missing, list(came.tags)) if missing else None


def _nothing(what: str, expected: Expectation, came: Came) -> Failure | None:
    silent = not came.messages and came.apart is None
    if silent is bool(expected.nothing):
        return None
    return Failure(what, expected.nothing, came.text or came.apart or "")


def _same(what: str, expected: Expectation, came: Came) -> Failure | None:
    wanted, found = getattr(expected, what), getattr(came, what)
    if what == "missed":
        wanted = bool(wanted)
    return None if wanted == found else Failure(what, wanted, found)


_CHECKS: Mapping[str, Callable[[str, Expectation, Came], Failure | None]] = {
    "text": _text,
    "contains": _contains,
    "matches": _matches,
    "rule": _same,
    "binding": _binding,
    "flow": _same,
    "step": _same,
    "missed": _same,
    "tags": _tags,
    "nothing": _nothing,
    "apart": _same,
}
