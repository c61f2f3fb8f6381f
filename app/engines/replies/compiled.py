"""All of an account's rules, bindings and flows, ready to answer from memory. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

from app.core.actions import Action, ActionRegistry
from app.core.errors import Invalid
from app.engines.replies.flows import Flow, edition_of, prepare
from app.engines.replies.matcher import Matcher, RuleKind, RuleWords
from app.engines.replies.patterns import BadPattern, check_pattern
from app.engines.replies.plan_checks import checked

Answers: TypeAlias = tuple[tuple[Action, ...], ...]
"""One of these lists of actions is taken."""


@dataclass(frozen=True, slots=True)
class StoredRule:
    id: int
    version: int
    name: str
    kind: str
    words: Sequence[str]
    priority: int
    answers: Any


@dataclass(frozen=True, slots=True)
class StoredBinding:
    id: int
    version: int
    on: str
    key: str
    answers: Any


@dataclass(frozen=True, slots=True)
class StoredFlow:
    id: int
    version: int
    name: str
    plan: Any
    """The plan without its name."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What is enabled of an account, as read."""

    version: int = 0
    rules: Sequence[StoredRule] = ()
    bindings: Sequence[StoredBinding] = ()
    flows: Sequence[StoredFlow] = ()
    superseded: Sequence[StoredFlow] = ()
    """Flows as they were before a change, for those who began with them."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A binding ready to answer."""

    id: int
    on: str
    key: str
    answers: Answers


@dataclass(frozen=True, slots=True)
class Broken:
    """Something stored that cannot be used any more, such as an action whose plugin is gone."""

    what: str
    """`rule`, `binding` or `flow`."""
    id: int
    name: str
    problem: str


_Seen: TypeAlias = dict[tuple[int, int], Answers]
"""Answers parsed before, by id and version."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """Immutable; swapped as a whole."""

    version: int = 0
    matcher: Matcher = field(default_factory=lambda: Matcher(()))
    answers: Mapping[int, Answers] = field(default_factory=dict)
    """By the rule's id."""
    bindings: Mapping[tuple[str, str], Bound] = field(default_factory=dict)
    """By what they are on, and the key."""
    flows: Mapping[str, Flow] = field(default_factory=dict)
    editions: Mapping[tuple[str, int], Flow] = field(default_factory=dict, repr=False)
    """Flows by name and `Flow.edition`: those of `flows`, and superseded ones."""
    broken: tuple[Broken, ...] = ()
    parsed: Mapping[tuple[int, int], Answers] = field(default_factory=dict, repr=False)
    """By id and version of rule or binding, so that the next compilation parses only what changed."""

    def find_flow(self, name: str, version: int = 0) -> Flow | None:
        """The newest of that name, 0, or the one of a state's version (`Flow.edition`)."""
        return self.editions.get((name, version)) if version else self.flows.get(name)


EMPTY = Compiled()


def compile_book(stored: Stored, registry: ActionRegistry, before: Compiled = EMPTY) -> Compiled:
    """Never raises for what is stored: what cannot be used is left out and named in `broken`."""
    return _Compilation(registry, before).run(stored)


class _Compilation:
    def __init__(self, registry: ActionRegistry, before: Compiled) -> None:
        self._registry = registry
        self._before = before.parsed
        self._flows_before = before.editions
        self._parsed: _Seen = {}
        self._broken: list[Broken] = []

    def run(self, stored: Stored) -> Compiled:
        rules = [rule for rule in stored.rules if self._usable(rule)]
        flows = self._flows(stored.flows, told=True)
        superseded = self._flows(stored.superseded, told=False)
        return Compiled(
            version=stored.version,
            matcher=Matcher(
                RuleWords(r.id, r.name, RuleKind(r.kind), tuple(r.words), r.priority) for r in rules
            ),
            answers=MappingProxyType({r.id: self._parsed[r.id, r.version] for r in rules}),
            bindings=MappingProxyType(self._bindings(stored.bindings)),
            flows=MappingProxyType({flow.plan.name: flow for flow in flows}),
            editions=MappingProxyType({(f.plan.name, f.edition): f for f in superseded + flows}),
            broken=tuple(self._broken),
            parsed=MappingProxyType(self._parsed),
        )

    def _usable(self, rule: StoredRule) -> bool:
        try:
            kind = RuleKind(rule.kind)
            if (rule.id, rule.version) not in self._before and kind is RuleKind.PATTERN:
                for word in rule.words:
                    check_pattern(word)
            self._parse(rule.id, rule.version, rule.answers)
        except (Invalid, BadPattern, ValueError) as error:
            self._broken.append(Broken("rule", rule.id, rule.name, str(error)))
            return False
        return True

    def _bindings(self, stored: Iterable[StoredBinding]) -> dict[tuple[str, str], Bound]:
        bindings = {}
        for one in stored:
            try:
                answers = self._parse(one.id, one.version, one.answers)
            except Invalid as error:
                name = f"{one.on} {one.key}".rstrip()
                self._broken.append(Broken("binding", one.id, name, str(error)))
            else:
                bindings[one.on, one.key] = Bound(one.id, one.on, one.key, answers)
        return bindings

    def _flows(self, stored: Iterable[StoredFlow], *, told: bool) -> list[Flow]:
        """Those that can be used; of superseded ones nobody needs to know that they cannot."""
        flows: list[Flow] = []
        for one in stored:
            try:
                flows.append(self._flow(one))
            except (Invalid, TypeError) as error:
                if told:
                    self._broken.append(Broken("flow", one.id, one.name, str(error)))
        return flows

    def _flow(self, stored: StoredFlow) -> Flow:
        known = self._flows_before.get((stored.name, edition_of(stored.id, stored.version)))
        if known is not None and (known.id, known.version) == (stored.id, stored.version):
            return known
        plan = checked({**stored.plan, "name": stored.name})
        return prepare(plan, self._registry, number=stored.id, version=stored.version)

    def _parse(self, number: int, version: int, written: object) -> Answers:
        known = self._before.get((number, version))
        if known is None:
            known = parse_answers(written, self._registry)
        self._parsed[number, version] = known
        return known


def parse_answers(written: object, registry: ActionRegistry) -> Answers:
    """The actions of written answers. Raises `Invalid` naming the place: `answers[0][1].with.text`."""
    if not isinstance(written, list | tuple) or not written:
        raise Invalid(
            field="answers", problem="a list of answers is needed", chinese="须为答复的列表"
        )
    return tuple(_parse_answer(one, f"answers[{n}]", registry) for n, one in enumerate(written))


def _parse_answer(written: object, field: str, registry: ActionRegistry) -> tuple[Action, ...]:
    if not isinstance(written, list | tuple) or not written:
        raise Invalid(
            field=field,
            problem="an answer is a list of at least one action",
            chinese="一个答复是至少一个动作的列表",
        )
    return tuple(registry.parse(one, field=f"{field}[{n}]") for n, one in enumerate(written))
