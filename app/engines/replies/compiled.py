"""All of an account's rules, bindings and flows, ready to answer from memory. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from app.core.actions import Action, ActionRegistry
from app.core.errors import Invalid
from app.core.problems import all_of
from app.engines.replies.book_settings import DEFAULTS, BookSettings
from app.engines.replies.conditions import Condition, Situation, condition
from app.engines.replies.flows import Flow, edition_of, prepare
from app.engines.replies.matcher import (
    Choice,
    Explanation,
    LapseOf,
    Matcher,
    RuleKind,
    RuleWords,
    all_hold,
)
from app.engines.replies.patterns import BadPattern, check_pattern
from app.engines.replies.plan_checks import checked
from app.engines.replies.synonyms import Synonyms

T = TypeVar("T")
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
    hours: Any = None
    audience: Any = None


@dataclass(frozen=True, slots=True)
class StoredBinding:
    id: int
    version: int
    on: str
    key: str
    answers: Any
    hours: Any = None
    audience: Any = None


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
    settings: Any = None


@dataclass(frozen=True, slots=True)
class Bound:
    """A binding ready to answer."""

    id: int
    on: str
    key: str
    answers: Answers
    condition: Condition | None = None
    """When and for whom it answers; None for always and everybody."""


@dataclass(frozen=True, slots=True)
class Broken:
    """Something stored that cannot be used any more, such as an action whose plugin is gone."""

    what: str
    """`rule`, `binding`, `flow` or `settings`."""
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
    conditions: Mapping[int, Condition] = field(default_factory=dict)
    """Of the rules that have hours or an audience, by the rule's id."""
    bindings: Mapping[tuple[str, str], Bound] = field(default_factory=dict)
    """By what they are on, and the key."""
    flows: Mapping[str, Flow] = field(default_factory=dict)
    settings: BookSettings = DEFAULTS
    silent_for: frozenset[str] = frozenset()
    """The settings' tags, as a set."""
    editions: Mapping[tuple[str, int], Flow] = field(default_factory=dict, repr=False)
    """Flows by name and `Flow.edition`: those of `flows`, and superseded ones."""
    broken: tuple[Broken, ...] = ()
    parsed: Mapping[tuple[int, int], Answers] = field(default_factory=dict, repr=False)
    """By id and version of rule or binding, so that the next compilation parses only what changed."""

    def choose(self, text: str, situation: Situation) -> Choice:
        """The rule that answers a text in this situation."""
        return self.matcher.choose(text, self._lapse_of(situation))

    def explain(self, text: str, situation: Situation) -> Explanation:
        """Who wins in this situation, who else would have, and who was passed over."""
        return self.matcher.explain(text, self._lapse_of(situation))

    def comparable_text(self, text: str) -> str:
        """A text as it is compared with rules, patterns apart: texts alike in this form are answered
        by the same words. Misses are counted under it."""
        return self.matcher.comparable_text(text)

    def _lapse_of(self, situation: Situation) -> LapseOf:
        conditions = self.conditions
        if not conditions:
            return all_hold
        return lambda rule_id: conditions[rule_id].lapse(situation)

    def find_flow(self, name: str, version: int = 0) -> Flow | None:
        """The newest of that name, 0, or the one of a state's version (`Flow.edition`)."""
        return self.editions.get((name, version)) if version else self.flows.get(name)


EMPTY = Compiled()


def compile_book(stored: Stored, registry: ActionRegistry, before: Compiled = EMPTY) -> Compiled:
    """Never raises for what is stored: what cannot be used is left out and named in `broken`."""
    return _Compilation(registry, before).run(stored)


def compile_words(stored: Stored) -> Compiled:
    """Rules and settings alone, without answers: whatever becomes of an action, its rule is there."""
    return _WordsOnly(ActionRegistry(), EMPTY).run(replace(stored, bindings=(), flows=()))


class _Compilation:
    def __init__(self, registry: ActionRegistry, before: Compiled) -> None:
        self._registry = registry
        self._before = before.parsed
        self._flows_before = before.editions
        self._parsed: _Seen = {}
        self._conditions: dict[int, Condition] = {}
        self._broken: list[Broken] = []

    def run(self, stored: Stored) -> Compiled:
        rules = [rule for rule in stored.rules if self._usable(rule)]
        settings = self._settings(stored.settings)
        flows = self._flows(stored.flows, told=True)
        superseded = self._flows(stored.superseded, told=False)
        return Compiled(
            version=stored.version,
            matcher=Matcher(
                (
                    RuleWords(
                        r.id,
                        r.name,
                        RuleKind(r.kind),
                        tuple(r.words),
                        r.priority,
                        r.id in self._conditions,
                    )
                    for r in rules
                ),
                Synonyms(settings.synonyms),
            ),
            conditions=MappingProxyType(self._conditions),
            settings=settings,
            silent_for=frozenset(settings.silent_for),
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
            holds = condition(rule.hours, rule.audience)
            self._parse(rule.id, rule.version, rule.answers)
        except (Invalid, BadPattern, ValueError) as error:
            self._broken.append(Broken("rule", rule.id, rule.name, str(error)))
            return False
        if holds is not None:
            self._conditions[rule.id] = holds
        return True

    def _settings(self, stored: object) -> BookSettings:
        try:
            return DEFAULTS if not stored else BookSettings.model_validate(stored)
        except ValueError as error:
            self._broken.append(Broken("settings", 0, "", str(error)))
            return DEFAULTS

    def _bindings(self, stored: Iterable[StoredBinding]) -> dict[tuple[str, str], Bound]:
        bindings = {}
        for one in stored:
            try:
                answers = self._parse(one.id, one.version, one.answers)
                holds = condition(one.hours, one.audience)
            except (Invalid, ValueError) as error:
                name = f"{one.on} {one.key}".rstrip()
                self._broken.append(Broken("binding", one.id, name, str(error)))
            else:
                bindings[one.on, one.key] = Bound(one.id, one.on, one.key, answers, holds)
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


class _WordsOnly(_Compilation):
    def _parse(self, number: int, version: int, written: object) -> Answers:
        self._parsed[number, version] = ()
        return ()


def parse_answers(written: object, registry: ActionRegistry) -> Answers:
    """The actions of written answers. Raises `Invalid` naming each place: `answers[0][1].with.text`."""
    if not isinstance(written, list | tuple) or not written:
        raise Invalid(
            field="answers", problem="a list of answers is needed", chinese="须为答复的列表"
        )
    return collect(
        lambda place, one: _parse_answer(one, f"answers[{place}]", registry), enumerate(written)
    )


def _parse_answer(written: object, field: str, registry: ActionRegistry) -> tuple[Action, ...]:
    if not isinstance(written, list | tuple) or not written:
        raise Invalid(
            field=field,
            problem="an answer is a list of at least one action",
            chinese="一个答复是至少一个动作的列表",
        )
    return collect(
        lambda place, one: registry.parse(one, field=f"{field}[{place}]"), enumerate(written)
    )


def collect(parse: Callable[[int, Any], T], numbered: Iterable[tuple[int, Any]]) -> tuple[T, ...]:
    """Each part parsed. Raises one `Invalid` for everything that is wrong with any of them."""
    parsed: list[T] = []
    wrong: list[Invalid] = []
    for number, one in numbered:
        try:
            parsed.append(parse(number, one))
        except Invalid as error:
            wrong.append(error)
    if wrong:
        raise all_of(wrong)
    return tuple(parsed)
