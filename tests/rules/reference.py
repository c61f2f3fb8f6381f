"""A slow, obvious matcher, written from docs/replies.md. It shares no code with the program."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

MARKS = set(""",.!?;:~-·•・‐–—―〜、。…‥¡¿`'"()[]{}<>“”‘’„‚«»‹›《》〈〉「」『』【】〔〕〖〗""")
ORDER = ["exact", "wildcard", "contains", "pattern"]


@dataclass(frozen=True)
class Rule:
    id: int
    kind: str
    words: tuple[str, ...]
    priority: int = 0
    hours: dict[str, Any] = field(default_factory=dict)
    audience: dict[str, list[str]] = field(default_factory=dict)


def folded(text: str) -> str:
    """What patterns see."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def compared(text: str, synonyms: Sequence[Sequence[str]], *, wild: bool = False) -> str:
    """What everything else sees."""
    return with_meanings(without_marks(folded(text), wild=wild), synonyms)


def without_marks(text: str, *, wild: bool = False) -> str:
    kept = []
    for place, character in enumerate(text):
        if character not in MARKS or (wild and character == "?"):
            kept.append(character)
            continue
        beside = [text[place - 1] if place else " ", (text + " ")[place + 1]]
        joined = all(is_word(one) or (wild and one in "*?") for one in beside)
        kept.append(character if joined else " ")
    return " ".join("".join(kept).split()) or text


def is_word(character: str) -> bool:
    return character.isascii() and character.isalnum()


def with_meanings(text: str, synonyms: Sequence[Sequence[str]]) -> str:
    meaning = {}
    for group in synonyms:
        for word in group:
            meaning[without_marks(folded(word))] = without_marks(folded(group[0]))
    longest_first = sorted(meaning, key=len, reverse=True)
    made, place = "", 0
    while place < len(text):
        for word in longest_first:
            if text.startswith(word, place) and stands_alone(text, place, word):
                made += meaning[word]
                place += len(word)
                break
        else:
            made += text[place]
            place += 1
    return made


def stands_alone(text: str, place: int, word: str) -> bool:
    before, after = text[:place][-1:], text[place + len(word) :][:1]
    if before and is_word(before) and is_word(word[0]):
        return False
    return not (after and is_word(after) and is_word(word[-1]))


def test_of(kind: str, word: str) -> Callable[[str, str], bool]:
    """Whether the word, as `word_of` gives it, matches a folded text, and the same as it is compared."""
    if kind == "exact":
        return lambda _, other: other == word
    if kind == "contains":
        return lambda _, other: word in other
    if kind == "pattern":
        pattern = re.compile(word, re.IGNORECASE)
        return lambda plain, _: pattern.search(plain) is not None
    wild = re.compile(
        "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in word), re.DOTALL
    )
    return lambda _, other: wild.fullmatch(other) is not None


def word_of(kind: str, word: str, synonyms: Sequence[Sequence[str]]) -> str:
    return word if kind == "pattern" else compared(word, synonyms, wild=kind == "wildcard")


def holds(rule: Rule, at: datetime, tags: Sequence[str]) -> bool:
    """`at` in the account's time zone."""
    wanted, unwanted = rule.audience.get("tags", []), rule.audience.get("without", [])
    if wanted and not set(wanted) & set(tags):
        return False
    if set(unwanted) & set(tags):
        return False
    return in_time(rule.hours, at)


def in_time(hours: dict[str, Any], at: datetime) -> bool:
    daily = hours.get("daily") or [["00:00", "24:00"]]
    for start, end in daily:
        for begun in (at.date(), at.date() - timedelta(days=1)):
            first, last = moment(begun, start), moment(begun, end)
            if last <= first:
                last += timedelta(days=1)
            if first <= at.replace(tzinfo=None) < last and on_day(hours, begun):
                return True
    return False


def moment(day: date, time: str) -> datetime:
    hour, minute = time.split(":")
    midnight = datetime.combine(day, datetime.min.time())
    return midnight + timedelta(hours=int(hour), minutes=int(minute))


def on_day(hours: dict[str, Any], day: date) -> bool:
    first, last, weekdays = hours.get("from"), hours.get("until"), hours.get("weekdays")
    if first is not None and day.isoformat() < str(first):
        return False
    if last is not None and day.isoformat() > str(last):
        return False
    return not weekdays or day.isoweekday() in weekdays


class Reference:
    def __init__(self, rules: Sequence[Rule], synonyms: Sequence[Sequence[str]] = ()) -> None:
        self.synonyms = synonyms
        self.words = [
            (rule, word, test_of(rule.kind, word))
            for rule in rules
            for word in dict.fromkeys(word_of(rule.kind, w, synonyms) for w in rule.words)
            if word
        ]

    def ranked(self, text: str) -> list[tuple[Rule, str]]:
        """Each rule that matches, with its best word, best first."""
        plain, other = folded(text), compared(text, self.synonyms)
        found = [
            (-rule.priority, ORDER.index(rule.kind), -len(word), rule.id, word, rule)
            for rule, word, matches in self.words
            if matches(plain, other)
        ]
        best: dict[int, tuple[Rule, str]] = {}
        for *_, word, rule in sorted(found, key=lambda one: one[:5]):
            best.setdefault(rule.id, (rule, word))
        return list(best.values())

    def answer(self, text: str, at: datetime, tags: Sequence[str]) -> tuple[Rule | None, list[int]]:
        """The rule that answers, and the ids of those passed over before it, best first."""
        passed: list[int] = []
        for rule, _ in self.ranked(text):
            if holds(rule, at, tags):
                return rule, passed
            passed.append(rule.id)
        return None, passed
