"""What people type, made comparable; and the two languages that staff are spoken to in."""

import re
import unicodedata
from typing import Literal, TypeAlias

Language: TypeAlias = Literal["zh", "en"]

_MARKS = re.escape(
    ",.!?;:~-`'\"()[]{}<>" + "、。…‥·•・‐–—―〜¡¿" + "“”‘’„‚«»‹›《》〈〉「」『』【】〔〕〖〗"
)
"""Sentence punctuation, quotes and brackets, as NFKC leaves them."""
_WILD_MARKS = _MARKS.replace(r"\?", "")
_ANY_MARK = re.compile(f"[{_MARKS}]")
_MARK = re.compile(rf"(?<![a-z0-9])[{_MARKS}]|[{_MARKS}](?![a-z0-9])")
_WILD_MARK = re.compile(rf"(?<![a-z0-9*?])[{_WILD_MARKS}]|[{_WILD_MARKS}](?![a-z0-9*?])")


def normalise(text: str) -> str:
    """NFKC, case folding, trimmed, runs of white space as one blank.

    Full-width and half-width letters, capitals and stray blanks therefore do not matter when a
    keyword is looked up. Punctuation is kept.
    """
    if text.isascii():
        return " ".join(text.lower().split())
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def without_marks(text: str, *, wild: bool = False) -> str:
    """A normalised text without its punctuation: each mark counts as a blank.

    A mark between two ASCII letters or digits stays (`3.5`, `12:30`, `wi-fi`, `a.b.com`), and so
    does a text of nothing but marks. `wild`: `*` and `?` are wildcards, kept and taken for letters.
    """
    if _ANY_MARK.search(text) is None:
        return text
    marks = _WILD_MARK if wild else _MARK
    return " ".join(marks.sub(" ", text).split()) or text


def cut_bytes(text: str, limit: int) -> str:
    """The longest beginning of `text` whose UTF-8 form has at most `limit` bytes.

    Never cuts inside a character.
    """
    if len(text) * 4 <= limit:
        return text
    data = text.encode()
    if len(data) <= limit:
        return text
    return data[:limit].decode(errors="ignore")
