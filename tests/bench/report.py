"""Prints the tables."""

from collections.abc import Callable, Sequence
from statistics import median

from rich.console import Console
from rich.table import Table as Grid

from tests.bench.tables import Round, Row, Table


def show(console: Console, tables: Sequence[Table], rounds: Sequence[Round]) -> None:
    """Each table with the medians over all rounds, and what the design asks for beside them."""
    for table in tables:
        grid = Grid(title=table.title, title_justify="left")
        grid.add_column("", no_wrap=True)
        for name in ("messages/s", "p99 ms", table.columns, "rounds", "must reach", "aim"):
            grid.add_column(name, justify="right")
        for row in table.rows:
            grid.add_row(*_cells(row, rounds))
        console.print(grid)
        for problem in _problems(table, rounds):
            console.print(f"  [red]invalid:[/red] {problem}")


def _cells(row: Row, rounds: Sequence[Round]) -> list[str]:
    values = [row.value(r) for r in rounds]
    value = median(values)
    invalid = any(r.faults(row.uses) for r in rounds)
    return [
        row.label,
        _median(row.rate, rounds, ",.0f"),
        _median(row.p99_ms, rounds, ".0f"),
        "[red]invalid[/red]" if invalid else f"[bold]{_figure(row, value)}[/bold]",
        " ".join(_figure(row, one, bare=True) for one in sorted(values)),
        _verdict(row, value, row.must, invalid=invalid),
        _verdict(row, value, row.aim, invalid=invalid),
    ]


def _figure(row: Row, value: float, *, bare: bool = False) -> str:
    digits = 0 if row.at_most else 2 if value < 10 else 1
    return f"{value:.{digits}f}" + ("" if bare else row.unit)


def _median(figure: Callable[[Round], float] | None, rounds: Sequence[Round], form: str) -> str:
    return "" if figure is None else format(median(figure(r) for r in rounds), form)


def _verdict(row: Row, value: float, bound: float | None, *, invalid: bool) -> str:
    if bound is None:
        return ""
    text = f"{'≤' if row.at_most else '≥'} {bound:g}"
    if invalid:
        return text
    return (
        f"{text} [green]met[/green]" if row.reaches(value, bound) else f"{text} [red]missed[/red]"
    )


def _problems(table: Table, rounds: Sequence[Round]) -> list[str]:
    found = (r.faults(row.uses) for row in table.rows for r in rounds)
    return sorted({part for text in found if text for part in text.split("; ")})
