"""Patterns that staff write, many at once, in time linear in the text. Pure.

RE2 only: with Python's `re` a marketer's pattern can stop the whole process for seconds.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import re2

SET_BYTES = 32 * 1024 * 1024
"""What the automaton of one set may take; it is filled as texts need it, and emptied when full."""
SET_SIZE = 256
"""Patterns in one set. A thousand in one make an unseen text three times as dear."""
PATTERN_BYTES = 512 * 1024
"""What one compiled pattern may take, so that 256 of them leave a set room to work."""
_NEVER = r"\x{10FFFF}"
_SENTINEL = "\U0010ffff"


class BadPattern(ValueError):
    """RE2 does not take it; the message is RE2's own."""


def check_pattern(pattern: str) -> None:
    """Raises `BadPattern` when RE2 does not take it, or only with more memory than allowed."""
    try:
        re2.compile(pattern, _options(PATTERN_BYTES))
    except re2.error as error:
        raise BadPattern(_message(error)) from None


def _message(error: Exception) -> str:
    first = error.args[0] if error.args else "bad pattern"
    return first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)


def _options(max_bytes: int) -> Any:
    options = re2.Options()
    options.max_mem = max_bytes
    options.log_errors = False
    options.case_sensitive = False
    return options


class Patterns:
    """Which of many patterns match a text."""

    def __init__(self, ranked: Sequence[tuple[int, str]], *, whole: bool) -> None:
        """`ranked` gives (rank, pattern), best rank first. `whole`: the text from end to end.

        Raises `BadPattern`.
        """
        self._sets: list[tuple[Any, tuple[int, ...]]] = []
        for start in range(0, len(ranked), SET_SIZE):
            self._add(ranked[start : start + SET_SIZE], whole)
        self._sets.sort(key=lambda one: one[1][0])

    def _add(self, ranked: Sequence[tuple[int, str]], whole: bool) -> None:
        compiled = _set([pattern for _, pattern in ranked], whole)
        if compiled is not None:
            self._sets.append((compiled, tuple(rank for rank, _ in ranked)))
        elif len(ranked) > 1:
            middle = len(ranked) // 2
            self._add(ranked[:middle], whole)
            self._add(ranked[middle:], whole)
        else:
            check_pattern(ranked[0][1])
            raise BadPattern("pattern too large")

    def best(self, text: str, bound: int) -> int:
        """The smallest rank below `bound` among the patterns that match, else `bound`."""
        for compiled, ranks in self._sets:
            if ranks[0] >= bound:
                break
            found = compiled.Match(text)
            if found:
                bound = min(bound, ranks[min(found)])
        return bound

    def all(self, text: str) -> Iterator[int]:
        """The rank of each pattern that matches."""
        for compiled, ranks in self._sets:
            for place in compiled.Match(text) or ():
                yield ranks[place]


def _set(patterns: Sequence[str], whole: bool) -> Any:
    """The compiled set, or None when it is too large or a pattern is bad.

    A set whose memory does not suffice compiles and then matches nothing, without a word. Whether
    it does depends on the patterns alone, so one that must match is put in and tried once.
    """
    kind = re2.Set.FullMatchSet if whole else re2.Set.SearchSet
    compiled = kind(_options(SET_BYTES))
    try:
        for pattern in patterns:
            compiled.Add(pattern)
        sentinel = compiled.Add(_NEVER)
        compiled.Compile()
    except re2.error:
        return None
    return compiled if sentinel in (compiled.Match(_SENTINEL) or ()) else None


# --- wildcards ------------------------------------------------------------------------------------

_WILD = re.compile(r"[*?]+")


def wildcard_pattern(word: str, one: str = ".") -> str:
    """The RE2 pattern for a wildcard word: `*` any characters or none, `?` one character.

    `one` is the pattern for one character.
    """
    parts = []
    for character, run in groupby(word):
        if character == "*":
            parts.append(".*")
        elif character == "?":
            parts.append(one * len(list(run)))
        else:
            parts.append(re2.escape("".join(run)))
    return "(?s)" + "".join(parts)


def literal_part(word: str) -> str:
    """The longest run of characters that every text matching the wildcard word contains."""
    return max(_WILD.split(word), key=len)
