"""Prints the tables."""

from collections.abc import Sequence
from statistics import median

from rich.console import Console
from rich.table import Table as Grid

from tests.bench.tables import Round, Row, Table

_BEHIND = ("messages/s", "p99 ms", "CPU µs")


def show(console: Console, tables: Sequence[Table], rounds: Sequence[Round]) -> None:
    """Each table with the medians over all rounds, and what the design asks for beside them."""
    for table in tables:
        grid = Grid(title=table.title, title_justify="left")
        grid.add_column("", no_wrap=True)
        for name in (*_BEHIND, table.columns, "rounds", "must reach", "aim"):
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
        *_behind(row, rounds),
        "[red]invalid[/red]" if invalid else f"[bold]{_figure(row, value)}[/bold]",
        " ".join(_figure(row, one, bare=True) for one in sorted(values)),
        _verdict(row, value, row.must, invalid=invalid),
        _verdict(row, value, row.aim, invalid=invalid),
    ]


def _figure(row: Row, value: float, *, bare: bool = False) -> str:
    digits = 0 if row.at_most else 2 if value < 10 else 1
    return f"{value:.{digits}f}" + ("" if bare else row.unit)


def _behind(row: Row, rounds: Sequence[Round]) -> list[str]:
    """Rate, p99, and CPU of server and database, each the median over the rounds."""
    if row.behind is None:
        return [""] * len(_BEHIND)
    setup, connections = row.behind
    server = median(r.server_us(setup, connections) for r in rounds)
    database = median(r.database_us(setup, connections) for r in rounds)
    return [
        f"{median(r.rate(setup, connections) for r in rounds):,.0f}",
        f"{median(r.p99_ms(setup, connections) for r in rounds):.0f}",
        f"{server:.0f}" + (f"+{database:.0f}" if database else ""),
    ]


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
