"""Which keyword rule a text belongs to. Pure.

Texts and words are compared without punctuation and with synonyms replaced by the word that is meant;
patterns alone see the text as `normalise` leaves it.

Rules are laid out once so that a look-up costs the same for ten rules and for ten thousand: exact
words in a dictionary, words that may stand anywhere in dictionaries on their first two characters,
wildcards behind their longest literal part, patterns in RE2 sets, which read the text once. Rules that
hold at times or for some followers only are laid out apart, so that they cost nothing where there are
none.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from app.core.text import Language, normalise, without_marks
from app.engines.replies.patterns import Patterns, literal_part, wildcard_pattern
from app.engines.replies.synonyms import Synonyms


class RuleKind(StrEnum):
    """How a rule's words are compared; among equal priorities the first kind wins."""

    EXACT = "exact"
    WILDCARD = "wildcard"
    """`*` any characters or none, `?` one character; over the whole text."""
    CONTAINS = "contains"
    PATTERN = "pattern"
    """RE2, found anywhere in the normalised text, capitals alike."""


NO_SYNONYMS = Synonyms()
_ORDER = {kind: place for place, kind in enumerate(RuleKind)}


@dataclass(frozen=True, slots=True)
class RuleWords:
    """What the matcher needs of a rule."""

    id: int
    name: str
    kind: RuleKind
    words: tuple[str, ...]
    priority: int = 0
    conditional: bool = False
    """Whether it has hours or an audience, so that it must be asked about before it may answer."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that matches, and the word of it that does."""

    rule_id: int
    name: str
    kind: RuleKind
    word: str
    """As it is compared."""
    priority: int

    @property
    def rank(self) -> tuple[int, int, int, int]:
        """Smaller wins: priority, kind, the longer word, the older rule."""
        return (-self.priority, _ORDER[self.kind], -len(self.word), self.rule_id)


class Lapse(StrEnum):
    """Why something does not hold for a contact."""

    HOURS = "hours"
    AUDIENCE = "audience"


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A rule that matches and ranks higher than the winner, but does not hold now or for this
    follower."""

    hit: Hit
    lapse: Lapse


LapseOf: TypeAlias = Callable[[int], Lapse | None]
"""Why the rule of this id does not hold; None when it does."""
PASSED_OVER = 5
"""How many rules passed over are named."""


def all_hold(_rule_id: int) -> None:
    """Every rule holds, whatever its hours and audience."""


class Choice(NamedTuple):
    """The rule that answers, and those passed over before it, best first."""

    hit: Hit | None
    passed: tuple[PassedOver, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """Who wins, and who else would have, best first; one hit for each rule."""

    winner: Hit | None
    runners_up: tuple[Hit, ...] = ()
    passed: tuple[PassedOver, ...] = ()

    def reason(self, lang: Language = "zh") -> str:
        """For staff: why the winner won, and why those passed over did not."""
        return SENTENCES[lang].join([self._why(lang), *self.passed_reasons(lang)])

    def passed_reasons(self, lang: Language) -> list[str]:
        """One sentence for each rule passed over."""
        return [_PASSED[lang][one.lapse].format(name=one.hit.name) for one in self.passed]

    def _why(self, lang: Language) -> str:
        words = _REASONS[lang]
        if self.winner is None:
            return words["none"]
        if not self.runners_up:
            return words["only"]
        return _why_before(self.winner, self.runners_up[0], lang)


_KIND_NAMES: Mapping[Language, Mapping[RuleKind, str]] = {
    "zh": {
        RuleKind.EXACT: "完全匹配",
        RuleKind.WILDCARD: "通配符",
        RuleKind.CONTAINS: "包含",
        RuleKind.PATTERN: "正则",
    },
    "en": {kind: kind.value for kind in RuleKind},
}
_REASONS: Mapping[Language, Mapping[str, str]] = {
    "zh": {
        "none": "没有规则匹配",
        "only": "只有这条规则匹配",
        "priority": "优先级 {first.priority} 高于「{second.name}」的 {second.priority}",
        "kind": "优先级相同，{kinds[0]}先于「{second.name}」的{kinds[1]}",
        "longer": "优先级和方式相同，「{first.word}」比「{second.word}」长",
        "older": "优先级、方式和词长相同，比「{second.name}」更早建立",
    },
    "en": {
        "none": "no rule matches",
        "only": "only this rule matches",
        "priority": "priority {first.priority} is above the {second.priority} of “{second.name}”",
        "kind": "of equal priority, {kinds[0]} goes before the {kinds[1]} of “{second.name}”",
        "longer": "of equal priority and kind, “{first.word}” is longer than “{second.word}”",
        "older": "of equal priority, kind and length, and older than “{second.name}”",
    },
}

_PASSED: Mapping[Language, Mapping[Lapse, str]] = {
    "zh": {
        Lapse.HOURS: "「{name}」也匹配，但此时不生效",
        Lapse.AUDIENCE: "「{name}」也匹配，但不对这位关注者生效",
    },
    "en": {
        Lapse.HOURS: "“{name}” matches too, but does not hold at this time",
        Lapse.AUDIENCE: "“{name}” matches too, but does not hold for this follower",
    },
}
SENTENCES: Mapping[Language, str] = {"zh": "；", "en": "; "}
"""What stands between two of them."""


def _why_before(first: Hit, second: Hit, lang: Language) -> str:
    if first.priority != second.priority:
        decided = "priority"
    elif first.kind is not second.kind:
        decided = "kind"
    elif len(first.word) != len(second.word):
        decided = "longer"
    else:
        decided = "older"
    names = _KIND_NAMES[lang]
    kinds = (names[first.kind], names[second.kind])
    return _REASONS[lang][decided].format(first=first, second=second, kinds=kinds)


class Anywhere:
    """Finds which of many words occur in a text.

    Words are grouped by their first two characters and, inside a group, by length, so that ten
    thousand words with one beginning cost as many look-ups as they have lengths.
    """

    def __init__(self, ranked: Iterable[tuple[int, str]]) -> None:
        """`ranked` gives (rank, word), best rank first."""
        self._single: dict[str, int] = {}
        self._equals: defaultdict[int, list[int]] = defaultdict(list)
        groups: defaultdict[str, dict[int, dict[str, int]]] = defaultdict(dict)
        for rank, word in ranked:
            words = self._single if len(word) == 1 else groups[word[:2]].setdefault(len(word), {})
            first = words.setdefault(word, rank)
            if first != rank:
                self._equals[first].append(rank)
        self._groups = {
            start: tuple((next(iter(words.values())), n, words) for n, words in by_length.items())
            for start, by_length in groups.items()
        }

    def best(self, text: str, bound: int) -> int:
        """The smallest rank below `bound` among the words that occur, else `bound`."""
        if self._single:
            get_single = self._single.get
            for character in text:
                rank = get_single(character, bound)
                if rank < bound:
                    bound = rank
        if self._groups:
            get_group = self._groups.get
            for start in range(len(text) - 1):
                group = get_group(text[start : start + 2])
                if group is None:
                    continue
                for least, length, words in group:
                    if least < bound:
                        rank = words.get(text[start : start + length], bound)
                        if rank < bound:
                            bound = rank
        return bound

    def all(self, text: str) -> list[int]:
        """The rank of each word that occurs; a word that occurs twice comes twice."""
        found: list[int] = []
        if self._single:
            found += (self._single[c] for c in text if c in self._single)
        if self._groups:
            get_group = self._groups.get
            for start in range(len(text) - 1):
                for _, length, words in get_group(text[start : start + 2], ()):
                    rank = words.get(text[start : start + length])
                    if rank is not None:
                        found.append(rank)
        if self._equals:
            found += [equal for first in found for equal in self._equals.get(first, ())]
        return found


class Wildcards:
    """Wildcards behind their longest literal part, which must occur in the text.

    The few without any (`*`, `??`) are always tried.
    """

    def __init__(self, ranked: Sequence[tuple[int, str]], one: str = ".") -> None:
        """`ranked` gives (rank, word), best rank first; `one` is the pattern that `?` stands for."""
        by_part: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        for rank, word in ranked:
            by_part[literal_part(word)].append((rank, wildcard_pattern(word, one)))
        self._bare = Patterns(by_part.pop("", []), whole=True)
        self._sets = [Patterns(group, whole=True) for group in by_part.values()]
        self._parts = Anywhere((number, part) for number, part in enumerate(by_part))

    def best(self, text: str, bound: int) -> int:
        """The smallest rank below `bound` among the wildcards that match, else `bound`."""
        bound = self._bare.best(text, bound)
        parts = self._parts.all(text)
        for number in set(parts) if parts else ():
            bound = self._sets[number].best(text, bound)
        return bound

    def all(self, text: str) -> Iterator[int]:
        """The rank of each wildcard that matches."""
        yield from self._bare.all(text)
        for number in set(self._parts.all(text)):
            yield from self._sets[number].all(text)


class _Layer:
    """Words of all kinds by their ranks."""

    def __init__(self, ranked: Iterable[tuple[int, Hit]]) -> None:
        of_kind: dict[RuleKind, list[tuple[int, str]]] = {kind: [] for kind in RuleKind}
        for rank, hit in ranked:
            of_kind[hit.kind].append((rank, hit.word))
        self._exact: defaultdict[str, list[int]] = defaultdict(list)
        for rank, word in of_kind[RuleKind.EXACT]:
            self._exact[word].append(rank)
        self._wildcards = Wildcards(of_kind[RuleKind.WILDCARD])
        self._contains = Anywhere(of_kind[RuleKind.CONTAINS])
        self._patterns = Patterns(of_kind[RuleKind.PATTERN], whole=False)

    def best(self, plain: str, compared: str, bound: int) -> int:
        """The smallest rank below `bound` among the words that match, else `bound`."""
        exact = self._exact.get(compared)
        if exact is not None and exact[0] < bound:
            bound = exact[0]
        bound = self._wildcards.best(compared, bound)
        bound = self._contains.best(compared, bound)
        return self._patterns.best(plain, bound)

    def all(self, plain: str, compared: str) -> set[int]:
        """The rank of each word that matches."""
        return {
            *self._exact.get(compared, ()),
            *self._wildcards.all(compared),
            *self._contains.all(compared),
            *self._patterns.all(plain),
        }


class Matcher:
    """Immutable, so that any thread may use it while another one replaces it."""

    def __init__(self, rules: Iterable[RuleWords], synonyms: Synonyms = NO_SYNONYMS) -> None:
        """Raises `BadPattern` for a pattern RE2 does not take; `check_pattern` tells beforehand."""
        rules = list(rules)
        self.synonyms = synonyms
        self._meant = synonyms.applied if synonyms else None
        self.conditional = frozenset(rule.id for rule in rules if rule.conditional)
        """Rules that must be asked about."""
        hits = [
            Hit(rule.id, rule.name, rule.kind, word, rule.priority)
            for rule in rules
            for word in dict.fromkeys(self._comparable_word(rule.kind, w) for w in rule.words)
            if word
        ]
        self.hits = tuple(sorted(hits, key=lambda hit: (hit.rank, hit.word)))
        """Every word of every rule, best rank first."""
        ranked = list(enumerate(self.hits))
        self._always = _Layer(r for r in ranked if r[1].rule_id not in self.conditional)
        self._sometimes = (
            _Layer(r for r in ranked if r[1].rule_id in self.conditional)
            if self.conditional
            else None
        )

    def __len__(self) -> int:
        """How many words it knows."""
        return len(self.hits)

    def comparable_text(self, text: str) -> str:
        """A text as it is compared with exact words, wildcards and words it contains."""
        return self._compared(normalise(text))

    def find(self, text: str, lapse_of: LapseOf = all_hold) -> Hit | None:
        """The rule that answers this text, or None."""
        return self.choose(text, lapse_of).hit

    def choose(self, text: str, lapse_of: LapseOf = all_hold) -> Choice:
        """The same with the rules passed over. Only rules with hours or an audience are asked for."""
        plain = normalise(text)
        compared = without_marks(plain)
        if self._meant is not None:
            compared = self._meant(compared)
        nobody = len(self.hits)
        best = self._always.best(plain, compared, nobody)
        hit = None if best == nobody else self.hits[best]
        if self._sometimes is None:
            return Choice(hit)
        passed: dict[int, PassedOver] = {}
        for rank in sorted(self._sometimes.all(plain, compared)):
            if rank > best:
                break
            candidate = self.hits[rank]
            if candidate.rule_id in passed:
                continue
            lapse = lapse_of(candidate.rule_id)
            if lapse is None:
                hit = candidate
                break
            passed[candidate.rule_id] = PassedOver(candidate, lapse)
        return Choice(hit, tuple(passed.values())[:PASSED_OVER])

    def explain(self, text: str, lapse_of: LapseOf = all_hold, *, limit: int = 10) -> Explanation:
        """The winner, up to `limit` runners-up that hold too, and who was passed over."""
        plain = normalise(text)
        compared = self._compared(plain)
        ranks = self._always.all(plain, compared)
        if self._sometimes is not None:
            ranks |= self._sometimes.all(plain, compared)
        best_of_rule: dict[int, Hit] = {}
        for rank in sorted(ranks):
            best_of_rule.setdefault(self.hits[rank].rule_id, self.hits[rank])
        holding: list[Hit] = []
        passed: list[PassedOver] = []
        for hit in best_of_rule.values():
            lapse = lapse_of(hit.rule_id) if hit.rule_id in self.conditional else None
            if lapse is None:
                holding.append(hit)
            elif not holding:
                passed.append(PassedOver(hit, lapse))
            if len(holding) > limit:
                break
        return Explanation(
            holding[0] if holding else None,
            tuple(holding[1 : limit + 1]),
            tuple(passed[:PASSED_OVER]),
        )

    def _compared(self, plain: str) -> str:
        return self.synonyms.applied(without_marks(plain))

    def _comparable_word(self, kind: RuleKind, word: str) -> str:
        """A rule's word as it is compared.

        Patterns stay as written: folding their capitals would turn `\\D` into `\\d`.
        """
        if kind is RuleKind.PATTERN:
            return word
        bare = without_marks(normalise(word), wild=kind is RuleKind.WILDCARD)
        return self.synonyms.applied(bare)


def compile_rules(rules: Iterable[RuleWords], synonyms: Synonyms = NO_SYNONYMS) -> Matcher:
    """The matcher over these rules. Raises `BadPattern`."""
    return Matcher(rules, synonyms)
