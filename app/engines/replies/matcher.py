"""Which keyword rule a text belongs to. Pure.

Rules are laid out once so that a look-up costs the same for ten rules and for ten thousand: exact
words in a dictionary, words that may stand anywhere in dictionaries on their first two characters,
wildcards behind their longest literal part, patterns in RE2 sets, which read the text once.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.core.text import Language, normalise
from app.engines.replies.patterns import Patterns, literal_part, wildcard_pattern


class RuleKind(StrEnum):
    """How a rule's words are compared; among equal priorities the first kind wins."""

    EXACT = "exact"
    WILDCARD = "wildcard"
    """`*` any characters or none, `?` one character; over the whole text."""
    CONTAINS = "contains"
    PATTERN = "pattern"
    """RE2, found anywhere in the normalised text, capitals alike."""


_ORDER = {kind: place for place, kind in enumerate(RuleKind)}


@dataclass(frozen=True, slots=True)
class RuleWords:
    """What the matcher needs of a rule."""

    id: int
    name: str
    kind: RuleKind
    words: tuple[str, ...]
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that matches, and the word of it that does."""

    rule_id: int
    name: str
    kind: RuleKind
    word: str
    priority: int

    @property
    def rank(self) -> tuple[int, int, int, int]:
        """Smaller wins: priority, kind, the longer word, the older rule."""
        return (-self.priority, _ORDER[self.kind], -len(self.word), self.rule_id)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Who wins, and who else would have, best first; one hit for each rule."""

    winner: Hit | None
    runners_up: tuple[Hit, ...] = ()

    def reason(self, lang: Language = "zh") -> str:
        """One sentence for staff: why the winner won."""
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


class _Anywhere:
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


class _Wildcards:
    """Wildcards behind their longest literal part, which must occur in the text.

    The few without any (`*`, `??`) are always tried.
    """

    def __init__(self, ranked: Sequence[tuple[int, str]]) -> None:
        by_part: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        for rank, word in ranked:
            by_part[literal_part(word)].append((rank, wildcard_pattern(word)))
        self._bare = Patterns(by_part.pop("", []), whole=True)
        self._sets = [Patterns(group, whole=True) for group in by_part.values()]
        self._parts = _Anywhere((number, part) for number, part in enumerate(by_part))

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


class Matcher:
    """Immutable, so that any thread may use it while another one replaces it."""

    def __init__(self, rules: Iterable[RuleWords]) -> None:
        """Raises `BadPattern` for a pattern RE2 does not take; `check_pattern` tells beforehand."""
        hits = [
            Hit(rule.id, rule.name, rule.kind, word, rule.priority)
            for rule in rules
            for word in dict.fromkeys(comparable(rule.kind, word) for word in rule.words)
            if word
        ]
        self._hits = sorted(hits, key=lambda hit: (hit.rank, hit.word))
        of_kind: dict[RuleKind, list[tuple[int, str]]] = {kind: [] for kind in RuleKind}
        for rank, hit in enumerate(self._hits):
            of_kind[hit.kind].append((rank, hit.word))
        self._exact: defaultdict[str, list[int]] = defaultdict(list)
        for rank, word in of_kind[RuleKind.EXACT]:
            self._exact[word].append(rank)
        self._others: list[_Wildcards | _Anywhere | Patterns] = [
            _Wildcards(of_kind[RuleKind.WILDCARD]),
            _Anywhere(of_kind[RuleKind.CONTAINS]),
            Patterns(of_kind[RuleKind.PATTERN], whole=False),
        ]

    def __len__(self) -> int:
        """How many words it knows."""
        return len(self._hits)

    def find(self, text: str) -> Hit | None:
        """The rule that answers this text, or None."""
        text = normalise(text)
        nobody = len(self._hits)
        exact = self._exact.get(text)
        best = nobody if exact is None else exact[0]
        for others in self._others:
            best = others.best(text, best)
        return None if best == nobody else self._hits[best]

    def explain(self, text: str, limit: int = 10) -> Explanation:
        """The winner and up to `limit` runners-up."""
        text = normalise(text)
        ranks = set(self._exact.get(text, ()))
        for others in self._others:
            ranks.update(others.all(text))
        best_of_rule: dict[int, Hit] = {}
        for rank in sorted(ranks):
            best_of_rule.setdefault(self._hits[rank].rule_id, self._hits[rank])
        hits = tuple(best_of_rule.values())
        return Explanation(hits[0] if hits else None, hits[1 : limit + 1])


def comparable(kind: RuleKind, word: str) -> str:
    """A rule's word as it is compared with normalised texts.

    Patterns stay as written: folding their capitals would turn `\\D` into `\\d`.
    """
    return word if kind is RuleKind.PATTERN else normalise(word)


def compile_rules(rules: Iterable[RuleWords]) -> Matcher:
    """The matcher over these rules. Raises `BadPattern`."""
    return Matcher(rules)
