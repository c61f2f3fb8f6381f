"""Words that mean the same, replaced by the one meant. Pure."""

import string
from collections import defaultdict
from collections.abc import Iterable, Sequence

from app.core.text import normalise, without_marks

_WORD_CHARACTERS = frozenset(string.ascii_lowercase + string.digits)


class Synonyms:
    """Replaces in one pass from left to right, the longest word first; what stands there then is not
    looked at again.

    A word that begins or ends with an ASCII letter or digit is found only where no such character
    stands beside it: `app` is not found in `apple`.
    """

    def __init__(self, groups: Iterable[Sequence[str]] = ()) -> None:
        """The first word of each group is the one meant. A word of two groups means the first."""
        self._single: dict[str, str] = {}
        by_start: defaultdict[str, dict[int, dict[str, str]]] = defaultdict(dict)
        meant_words = []
        for group in groups:
            words = [without_marks(normalise(word)) for word in group]
            meant_words.append(words[0])
            for word in words:
                alike = (
                    self._single if len(word) == 1 else by_start[word[:2]].setdefault(len(word), {})
                )
                alike.setdefault(word, words[0])
        self._groups = {
            start: sorted(by_length.items(), reverse=True) for start, by_length in by_start.items()
        }
        self.characters = frozenset("".join(meant_words))
        """What may stand in a text only because a synonym put it there."""

    def __bool__(self) -> bool:
        return bool(self._single or self._groups)

    def applied(self, text: str) -> str:
        """The text with the words that are meant; without any of its words, the text itself."""
        parts: list[str] = []
        done = start = 0
        while start < len(text):
            word, meant = self._at(text, start)
            if not word:
                start += 1
                continue
            parts += (text[done:start], meant)
            start = done = start + len(word)
        return "".join(parts) + text[done:] if parts else text

    def _at(self, text: str, start: int) -> tuple[str, str]:
        """The longest word that begins here and what it means; empty ones for none."""
        for length, words in self._groups.get(text[start : start + 2], ()):
            word = text[start : start + length]
            meant = words.get(word)
            if meant is not None and _stands_alone(text, start, word):
                return word, meant
        word = text[start]
        meant = self._single.get(word)
        if meant is not None and _stands_alone(text, start, word):
            return word, meant
        return "", ""


def _stands_alone(text: str, start: int, word: str) -> bool:
    end = start + len(word)
    joined_before = word[0] in _WORD_CHARACTERS and text[start - 1 : start] in _WORD_CHARACTERS
    joined_after = word[-1] in _WORD_CHARACTERS and text[end : end + 1] in _WORD_CHARACTERS
    return not (joined_before or joined_after)
