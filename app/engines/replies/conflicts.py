"""Rules that get in each other's way: words that can never win, ties, words that swallow others. Pure.

Only what is certain is said: a word is called dead when each text that it matches is matched by a
better word of another rule that always holds. What is not found here may be dead all the same: whether
one pattern matches all that another one does is not asked.

How it is decided. An exact word `w` is what matches the text `w`, a word that texts contain what matches
`*w*`; so all but patterns are wildcards, and of those one covers another when it matches that other as
it is written, its `*` read as a character that only a `*` matches, its `?` as one that no letter
matches. So every word is put to the matcher as a text. A pattern covers what contains a text
that it is found in, if it minds nothing but the characters it is found in.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.core.text import Language
from app.engines.replies.compiled import Compiled
from app.engines.replies.conditions import Condition, may_both_hold
from app.engines.replies.matcher import Anywhere, Hit, Matcher, RuleKind, Wildcards
from app.engines.replies.patterns import Patterns

SWALLOWED = 3
"""From how many words of other rules on a word is said to swallow others."""
NAMED = 10
"""How many rules and words a finding names; it counts them all."""
_STAR, _ONE = "\ufdd0", "\ufdd1"
"""Characters that are none, for the wildcards of a word that is read as a text."""
_NOT_FLOATING = re.compile(r"[\^$]|\\[bBAzZ]")
"""What makes a pattern mind where its match stands: anchors and word borders."""
_LITERAL = re.compile(r"\w+")


class FindingKind(StrEnum):
    NEVER_WINS = "never_wins"
    """No text is answered by this rule."""
    WORD_NEVER_WINS = "word_never_wins"
    """The rule answers by other words of it, never by this one."""
    TIE = "tie"
    """The same word at the same priority: the oldest rule answers."""
    SWALLOWS = "swallows"
    """A word that leaves nothing to words of several other rules."""


@dataclass(frozen=True, slots=True)
class Named:
    """A rule in a finding."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Finding:
    """`rules` and `words` begin with what the finding is about, up to `NAMED` of the others follow."""

    kind: FindingKind
    rules: tuple[Named, ...]
    words: tuple[str, ...]
    count: int
    """How many words the rule has, how many rules tie, how many words are swallowed."""

    def say(self, lang: Language = "zh") -> str:
        """One sentence for staff."""
        other = self.rules[1] if len(self.rules) > 1 else self.rules[0]
        return _SENTENCES[lang][self.kind].format(
            rule=self.rules[0].name,
            other=other.name,
            word=self.words[0],
            by=self.words[1] if len(self.words) > 1 else self.words[0],
            count=self.count,
        )


_SENTENCES: Mapping[Language, Mapping[FindingKind, str]] = {
    "zh": {
        FindingKind.NEVER_WINS: "「{rule}」永远不会回复：「{word}」总是先由「{other}」的「{by}」回复",
        FindingKind.WORD_NEVER_WINS: (
            "「{rule}」的「{word}」不起作用：总是先由「{other}」的「{by}」回复"
        ),
        FindingKind.TIE: "{count} 条规则有同样的「{word}」和优先级，由最早建立的「{rule}」回复",
        FindingKind.SWALLOWS: "「{rule}」的「{word}」盖住了其他规则的 {count} 个词",
    },
    "en": {
        FindingKind.NEVER_WINS: "“{rule}” never answers: “{by}” of “{other}” always goes before “{word}”",
        FindingKind.WORD_NEVER_WINS: (
            "“{word}” of “{rule}” is of no use: “{by}” of “{other}” always goes before it"
        ),
        FindingKind.TIE: (
            "{count} rules have the same “{word}” at the same priority: “{rule}” answers, the oldest"
        ),
        FindingKind.SWALLOWS: "“{word}” of “{rule}” leaves nothing to {count} words of other rules",
    },
}


def find_conflicts(compiled: Compiled) -> list[Finding]:
    """All findings: first rules that never answer, then words, ties and what swallows; in each the
    best-ranked first. 10,000 rules take a second or so."""
    return _Analysis(compiled.matcher, compiled.conditions).findings()


def _as_text(kind: RuleKind, word: str) -> str:
    """The word as a text that exactly those wildcards match which match all it matches."""
    if kind is RuleKind.CONTAINS:
        return f"{_STAR}{word}{_STAR}"
    if kind is RuleKind.WILDCARD:
        return re.sub(r"\*+", _STAR, word).replace("?", _ONE)
    return word


class _Cover:
    """Which words cover a word. Laid out like the matcher's own layers, over words of rules that
    always hold; of equal words the best two of different rules suffice, for a word is never asked
    about its own rule."""

    def __init__(self, hits: Iterable[tuple[int, Hit]], meant: frozenset[str]) -> None:
        """`meant`: the characters that synonyms put into texts. A pattern sees texts without them."""
        of_kind: dict[RuleKind, list[tuple[int, str]]] = {kind: [] for kind in RuleKind}
        for rank, hit in hits:
            of_kind[hit.kind].append((rank, hit.word))
        self._meant = meant
        self._exact = _by_word(of_kind[RuleKind.EXACT])
        self._same_pattern = _by_word(of_kind[RuleKind.PATTERN])
        self._wildcards = Wildcards(of_kind[RuleKind.WILDCARD], one=rf"[^{_STAR}]")
        self._contains = Anywhere(of_kind[RuleKind.CONTAINS])
        floating = [
            (rank, word)
            for rank, word in of_kind[RuleKind.PATTERN]
            if _NOT_FLOATING.search(word) is None
        ]
        self._floating = Patterns(floating, whole=False) if floating else None

    def of(self, kind: RuleKind, word: str) -> list[int]:
        """The ranks of all words that cover it, best first; itself among them."""
        if kind is RuleKind.PATTERN:
            ranks = {*self._same_pattern.get(word, ()), *self._wildcards.all(_STAR)}
            if _LITERAL.fullmatch(word) and (word.isascii() or word.lower() == word.upper()):
                ranks.update(self._found_in(word.lower()))
            return sorted(ranks)
        text = _as_text(kind, word)
        ranks = {
            *self._exact.get(text, ()),
            *self._wildcards.all(text),
            *self._contains.all(text),
        }
        for part in re.split(f"[{_STAR}{_ONE} ]", text):
            # Only what surely stands in the text as it was typed, in one piece.
            if part and self._meant.isdisjoint(part):
                ranks.update(self._found_in(part))
        return sorted(ranks)

    def _found_in(self, text: str) -> Iterable[int]:
        return () if self._floating is None else self._floating.all(text)


def _by_word(ranked: Iterable[tuple[int, str]]) -> dict[str, list[int]]:
    by_word: defaultdict[str, list[int]] = defaultdict(list)
    for rank, word in ranked:
        by_word[word].append(rank)
    return by_word


class _Analysis:
    def __init__(self, matcher: Matcher, conditions: Mapping[int, Condition]) -> None:
        self._hits = matcher.hits
        self._conditions = conditions
        self._alike: defaultdict[tuple[RuleKind, str], list[int]] = defaultdict(list)
        for rank, hit in enumerate(self._hits):
            if _STAR not in hit.word and _ONE not in hit.word:
                self._alike[hit.kind, hit.word].append(rank)
        always = [
            (rank, self._hits[rank])
            for ranks in self._alike.values()
            for rank in self._best_two([r for r in ranks if self._always(r)])
        ]
        self._cover = _Cover(sorted(always, key=lambda one: one[0]), matcher.synonyms.characters)
        self._dead = self._find_dead()
        self._dead_rules = self._find_dead_rules()

    def findings(self) -> list[Finding]:
        return [*self._rules(), *self._words(), *self._ties(), *self._swallowers()]

    def _always(self, rank: int) -> bool:
        return self._hits[rank].rule_id not in self._conditions

    def _best_two(self, ranks: Sequence[int]) -> list[int]:
        """The best, and the best of another rule."""
        others = (r for r in ranks if self._hits[r].rule_id != self._hits[ranks[0]].rule_id)
        other = next(others, None)
        return [*ranks[:1], *([] if other is None else [other])]

    def _find_dead(self) -> dict[int, int]:
        """The rank of each word that can never win, with that of the best word that covers it."""
        dead: dict[int, int] = {}
        for (kind, word), ranks in self._alike.items():
            covering = self._cover.of(kind, word)
            for rank in ranks:
                rule = self._hits[rank].rule_id
                by = next((c for c in covering if self._hits[c].rule_id != rule), None)
                if by is not None and by < rank:
                    dead[rank] = by
        return dead

    def _find_dead_rules(self) -> dict[int, list[int]]:
        """The ranks of the words of each rule all of whose words are dead."""
        words_of: defaultdict[int, list[int]] = defaultdict(list)
        for rank, hit in enumerate(self._hits):
            words_of[hit.rule_id].append(rank)
        return {
            rule: ranks
            for rule, ranks in words_of.items()
            if all(rank in self._dead for rank in ranks)
        }

    def _rules(self) -> Iterable[Finding]:
        for ranks in self._dead_rules.values():
            by = [self._dead[rank] for rank in ranks]
            yield Finding(
                FindingKind.NEVER_WINS,
                self._named([ranks[0], *by]),
                self._words_of([ranks[0], by[0], *ranks[1:]]),
                len(ranks),
            )

    def _words(self) -> Iterable[Finding]:
        """Dead words of rules that live; one that merely ties is told as a tie."""
        for rank, by in self._dead.items():
            if self._hits[rank].rule_id in self._dead_rules or self._tied(rank, by):
                continue
            yield Finding(
                FindingKind.WORD_NEVER_WINS, self._named([rank, by]), self._words_of([rank, by]), 1
            )

    def _tied(self, rank: int, by: int) -> bool:
        one, other = self._hits[rank], self._hits[by]
        return (one.kind, one.word, one.priority) == (other.kind, other.word, other.priority)

    def _ties(self) -> Iterable[Finding]:
        for ranks in self._alike.values():
            if len(ranks) < 2:  # a tie takes two
                continue
            by_priority: defaultdict[int, list[int]] = defaultdict(list)
            for rank in ranks:
                by_priority[self._hits[rank].priority].append(rank)
            for tied in by_priority.values():
                meeting = self._meeting(tied)
                if len(meeting) > 1:
                    yield Finding(
                        FindingKind.TIE,
                        self._named(meeting),
                        (self._hits[tied[0]].word,),
                        len(meeting),
                    )

    def _meeting(self, tied: Sequence[int]) -> list[int]:
        """The oldest that may hold together with a younger one, and those younger ones."""
        for place, oldest in enumerate(tied[:NAMED]):
            first = self._conditions.get(self._hits[oldest].rule_id)
            younger = [
                rank
                for rank in tied[place + 1 :]
                if may_both_hold(first, self._conditions.get(self._hits[rank].rule_id))
            ]
            if younger:
                return [oldest, *younger]
        return []

    def _swallowers(self) -> Iterable[Finding]:
        swallowed: defaultdict[int, list[int]] = defaultdict(list)
        for rank, by in self._dead.items():
            if not self._tied(rank, by):
                swallowed[by].append(rank)
        for by in sorted(swallowed):
            ranks = sorted(swallowed[by])
            if len(ranks) >= SWALLOWED:
                yield Finding(
                    FindingKind.SWALLOWS,
                    self._named([by, *ranks]),
                    self._words_of([by, *ranks]),
                    len(ranks),
                )

    def _named(self, ranks: Sequence[int]) -> tuple[Named, ...]:
        names = {self._hits[r].rule_id: self._hits[r].name for r in ranks}
        return tuple(Named(number, name) for number, name in list(names.items())[: NAMED + 1])

    def _words_of(self, ranks: Sequence[int]) -> tuple[str, ...]:
        return tuple(self._hits[rank].word for rank in ranks[: NAMED + 1])
