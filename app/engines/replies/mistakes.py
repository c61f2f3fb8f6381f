"""All that is wrong with a file, said at once. Pure."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from app.core.errors import AppError, Invalid

SHOWN = 2000
"""Mistakes named in one answer; the rest is counted."""
KEPT = 10_000
_PLACE_CHARACTERS = 200
_PROBLEM_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Mistake:
    """`place` is where in the file: `rules[17].words[2]`; `line` counts from 1, where it is known."""

    place: str
    problem: str
    chinese: str
    line: int | None = None


class Found:
    """Mistakes as they are found: all are counted, the first 10,000 kept, so that a file of nothing
    but mistakes fills no memory."""

    def __init__(self, mistakes: Iterable[Mistake] = ()) -> None:
        self.kept: list[Mistake] = []
        self.count = 0
        self.add(*mistakes)

    def add(self, *mistakes: Mistake) -> None:
        self.count += len(mistakes)
        self.kept += mistakes[: KEPT - len(self.kept)]

    def __bool__(self) -> bool:
        return self.count > 0


class Mistakes(AppError):
    """Nothing of the file was taken."""

    code = "MISTAKES"
    status = 422
    zh = "文件有 {count} 处错误，未作任何更改。第一处：{first_zh}"
    en = "The file has {count} mistakes; nothing was changed. The first: {first_en}"

    def __init__(self, found: Found) -> None:
        shown = [_printable(mistake) for mistake in found.kept[:SHOWN]]
        super().__init__(
            count=found.count,
            mistakes=[asdict(mistake) for mistake in shown],
            first_zh=in_words(shown[0], "zh"),
            first_en=in_words(shown[0], "en"),
        )
        self.shown = tuple(shown)


def of_invalid(error: Invalid, within: str) -> list[Mistake]:
    """Everything in the error, which was found in this part of a file."""
    return [
        Mistake(
            f"{within}.{one.details['field']}".rstrip("."),
            str(one.details["problem"]),
            one.chinese,
        )
        for one in error.every
    ]


def in_words(mistake: Mistake, lang: str) -> str:
    """One line for people."""
    line = f"{mistake.line}: " if mistake.line else ""
    problem = mistake.problem if lang == "en" else mistake.chinese
    return f"{line}{mistake.place} {problem}".strip()


def _printable(mistake: Mistake) -> Mistake:
    """Places and problems quote the file, which may hold anything, at any length."""
    return Mistake(
        _cut(mistake.place, _PLACE_CHARACTERS),
        _cut(mistake.problem, _PROBLEM_CHARACTERS),
        _cut(mistake.chinese, _PROBLEM_CHARACTERS),
        mistake.line,
    )


def _cut(text: str, limit: int) -> str:
    safe = text.encode("utf-8", "replace").decode()
    return safe if len(safe) <= limit else f"{safe[:limit]}…"
