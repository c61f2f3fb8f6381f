"""`python -m tests.bench.plans`: how the databases carry out every statement of a batch.

One batch goes through the intake with each hot statement written down, and each of them is then
explained, on the database of `tests.bench.grown`. `--write` puts the plans into
`docs/performance.md`.
"""

import asyncio
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Annotated, Any

import psycopg
import typer
from rich.console import Console

import app.db.database
from app.core.log import setup_logging
from app.core.settings import Settings
from app.db.hot import Hot
from app.db.tx import PostgresTx, Query, SqliteTx, Tx
from app.runtime import open_runtime
from tests.bench import batches, shop
from tests.bench.grown import KINDS, default_folder, opened
from tests.bench.subjects import ON_BOTH

SIZE = 8
"""Deliveries in the batch."""
_DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"
_MARKS = ("<!-- plans: written by python -m tests.bench.plans --write -->\n", "<!-- /plans -->\n")
_LISTS = re.compile(r"'[{\[](?:[^']|'')*'")
_COSTS = re.compile(r"  \(cost=.*?\)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Used:
    """A hot statement as it went to the database."""

    name: str
    text: str
    values: Any


@dataclass(frozen=True, slots=True)
class Plan:
    name: str
    lines: tuple[str, ...]

    @property
    def reads_all(self) -> bool:
        """A table is read from its beginning to its end."""
        return any(_reads_all(line) for line in self.lines)


_TINY = re.compile(r"(?:Seq Scan on|SCAN) tag\b")
"""An account has a few dozen tags: there is no quicker way than to read them all."""


def _reads_all(line: str) -> bool:
    if _TINY.search(line):
        return False
    on_sqlite = line.startswith("SCAN ") and not line.startswith(
        ("SCAN json_each", "SCAN CONSTANT")
    )
    return "Seq Scan" in line or on_sqlite


@contextmanager
def recording() -> Iterator[dict[str, Used]]:
    """Whatever hot statements transactions send meanwhile, by their texts."""
    used: dict[str, Used] = {}
    kinds: tuple[type[Tx], ...] = (SqliteTx, PostgresTx)
    for kind in kinds:
        setattr(app.db.database, kind.__name__, _recorded(kind, used))
    try:
        yield used
    finally:
        for kind in kinds:
            setattr(app.db.database, kind.__name__, kind)


def _recorded(kind: type[Tx], used: dict[str, Used]) -> type[Tx]:
    def note(statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        if not isinstance(statement, Hot) or not rows:
            return
        prepared = statement.prepared(kind.dialect)
        values: Any = prepared.values(rows[0])
        text = prepared.text
        if len(rows) > 1 and prepared.rowset is not None:
            text, values = prepared.rowset.text, prepared.rowset.values(rows)
        used[prepared.text] = Used(batches.name_of(statement, kind.dialect), text, values)

    class Recorded(kind):  # type: ignore[misc, valid-type]  # the class is a parameter
        async def all(self, statement: Any, params: Any = None) -> Any:
            note(statement, [params or {}])
            return await super().all(statement, params)

        async def run(self, statement: Any, params: Any = None) -> int:
            note(statement, [params or {}])
            return int(await super().run(statement, params))

        async def many(self, statement: Any, rows: Any) -> int:
            note(statement, rows)
            return int(await super().many(statement, rows))

        async def put(self, statement: Any, rows: Any, *, expected: int | None = None) -> None:
            note(statement, rows)
            await super().put(statement, rows, expected=expected)

        async def ask_all(self, *queries: Query[Any]) -> list[Any]:
            for query in queries:
                note(query.statement, [query.params])
            found: list[Any] = await super().ask_all(*queries)
            return found

    return Recorded


async def used_in_a_batch(url: str) -> list[Used]:
    """Every hot statement that a batch of ordinary texts sends, on a database with the shop in it."""
    settings = Settings.model_validate(
        {"database_url": url, "secret_key": shop.SECRET_KEY, "role": "web"}
    )
    with recording() as used:
        async with open_runtime(settings) as runtime:
            used.clear()
            await batches.intake_of(runtime)(batches.batch_of(runtime, Random(3), SIZE))
    return list(used.values())


def explain(url: str, used: Sequence[Used]) -> list[Plan]:
    """Nothing is carried out."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            return [_explained_by_sqlite(connection, one) for one in used]
    with psycopg.connect(url, cursor_factory=psycopg.ClientCursor) as client:
        return [_explained_by_postgres(client, one) for one in used]


def _explained_by_sqlite(connection: sqlite3.Connection, used: Used) -> Plan:
    rows = connection.execute(f"EXPLAIN QUERY PLAN {used.text}", used.values).fetchall()
    return Plan(used.name, tuple(row[3] for row in rows) or ("one row at its place",))


def _explained_by_postgres(connection: psycopg.Connection, used: Used) -> Plan:
    rows = connection.execute(f"EXPLAIN {used.text}".encode(), used.values).fetchall()
    text = "\n".join(str(row[0]) for row in rows)
    return Plan(used.name, tuple(_LISTS.sub("…", _COSTS.sub("", text)).splitlines()))


def main(
    database: Annotated[str | None, typer.Argument(help="sqlite or postgresql; both")] = None,
    folder: Annotated[Path | None, typer.Option(help="Where the grown databases are.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Into docs/performance.md.")] = False,
) -> None:
    """Prints the plans, and exits with 1 where a table is read as a whole."""
    setup_logging(level="warning")
    wanted = ON_BOTH if database is None else (KINDS[database],)
    parts, whole = [], False
    with opened(folder or default_folder()) as grown:
        for kind in wanted:
            if grown.stamp(kind) is None:
                raise typer.BadParameter(f"python -m tests.bench.grown make {kind.lower()} first")
            grown.freshen(kind)
            url = grown.url(kind)
            plans = explain(url, asyncio.run(used_in_a_batch(url)))
            whole = whole or any(plan.reads_all for plan in plans)
            parts.append(_text(kind, plans))
    text = "\n".join(parts)
    Console(soft_wrap=True).print(text, markup=False, highlight=False)
    if write:
        _write(text)
    if whole:
        raise typer.Exit(1)


def _text(kind: str, plans: Sequence[Plan]) -> str:
    lines = [f"**{kind}**", "", "```"]
    for plan in plans:
        lines += [plan.name, *(f"    {line}" for line in plan.lines)]
    return "\n".join([*lines, "```", ""])


def _write(text: str) -> None:
    before, _, rest = _DOCUMENT.read_text().partition(_MARKS[0])
    after = rest.partition(_MARKS[1])[2]
    _DOCUMENT.write_text(f"{before}{_MARKS[0]}\n{text}\n{_MARKS[1]}{after}")


if __name__ == "__main__":
    typer.run(main)
