"""What people type, made comparable; and the two languages that staff are spoken to in."""

import unicodedata
from typing import Literal, TypeAlias

Language: TypeAlias = Literal["zh", "en"]


def normalise(text: str) -> str:
    """NFKC, case folding, trimmed, runs of white space as one blank.

    Full-width and half-width letters, capitals and stray blanks therefore do not matter when a
    keyword is looked up. Punctuation is kept.
    """
    if text.isascii():
        return " ".join(text.lower().split())
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


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
