"""Plans and versions as lines of text, the same width for wide characters."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence

import orjson
import typer

from app.engines.replies.book_plan import Plan
from app.engines.replies.changes import Change, Difference, counts
from app.engines.replies.mistakes import Mistakes, in_words

SHOWN = 200
"""Changes listed at once."""
_VALUE = 60
_SIGN = {"added": "+", "changed": "~", "removed": "-"}
_COLOUR = {
    "added": typer.colors.GREEN,
    "changed": typer.colors.YELLOW,
    "removed": typer.colors.RED,
}


def show_plan(plan: Plan) -> None:
    """Each change, then how many of each sort."""
    show_changes(plan.changes)
    typer.echo(
        "新增 added {added} · 修改 changed {changed} · 删除 removed {removed}"
        " · 不变 unchanged {unchanged}".format(**plan.counts)
    )


def show_changes(changes: Sequence[Change], most: int = SHOWN) -> None:
    """One line for each thing, and one for each field of it that changed."""
    for change in changes[:most]:
        head = f"{_SIGN[change.kind]} {_padded(change.what, 8)} {printable(change.name)}"
        typer.secho(head, fg=_COLOUR[change.kind])
        if change.kind == "changed":
            for one in change.fields:
                typer.echo(f"    {_field(one)}")
    if len(changes) > most:
        left = len(changes) - most
        typer.echo(f"… 另有 {left} 项 · and {left} more")


def show_counts(changes: Sequence[Change]) -> None:
    typer.echo(
        "新增 added {added} · 修改 changed {changed} · 删除 removed {removed}".format(
            **counts(changes)
        )
    )


def show_mistakes(found: Mistakes) -> None:
    """All of them on standard error, in both languages, each with its place."""
    for mistake in found.shown:
        typer.secho(printable(in_words(mistake, "zh")), err=True)
        if mistake.problem != mistake.chinese:
            typer.secho(f"    {printable(mistake.problem)}", err=True)
    total = int(str(found.details["count"]))
    left = total - len(found.shown)
    more = f"（只列出前 {len(found.shown)} 处 · the first {len(found.shown)}）" if left else ""
    typer.secho(
        f"共 {total} 处错误，未作任何更改 · {total} mistakes, nothing was changed{more}",
        err=True,
        fg=typer.colors.RED,
    )


def columns(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Rows with every column but the last as wide as its widest cell."""
    kept = [tuple(map(printable, row)) for row in rows]
    widths = [max(map(_width, column)) for column in zip(*kept, strict=True)]
    for row in kept:
        cells = [_padded(cell, width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join((*cells[:-1], row[-1])).rstrip()


def _field(one: Difference) -> str:
    return f"{printable(one.field)}: {_value(one.before)} → {_value(one.after)}"


def _value(value: object) -> str:
    if value is None:
        return "–"
    text = printable(value if isinstance(value, str) else orjson.dumps(value).decode())
    return text if len(text) <= _VALUE else f"{text[:_VALUE]}…"


def printable(text: str) -> str:
    """What staff wrote must not steer the terminal."""
    return "".join(c if c.isprintable() else "␤" if c == "\n" else "�" for c in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
