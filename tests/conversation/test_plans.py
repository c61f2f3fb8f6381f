"""Every statement of a batch goes by an index, on tables that have their statistics."""

from datetime import UTC, datetime

import pytest
from rich.console import Console

from tests.bench.databases import POSTGRES, SQLITE, Shop, furnish
from tests.bench.grown import fill
from tests.bench.life import Size
from tests.bench.plans import Plan, explain, used_in_a_batch

SMALL = Size(followers=20_000, messages=60_000, days=5)
"""So that a day has thousands of receipts: a table of a few pages is read through by right."""
READ = ("follower", "receipt", "cs_conversation", "send_window", "follower_tag", "flow_state")
WRITTEN = ("cs_message", "receipt", "event")


@pytest.fixture
async def plans(database_url: str, on_postgres: bool) -> list[Plan]:
    await furnish(database_url, Shop())
    kind = POSTGRES if on_postgres else SQLITE
    fill(kind, database_url, SMALL, datetime.now(UTC), Console(quiet=True))
    return explain(database_url, await used_in_a_batch(database_url))


async def test_no_statement_reads_a_table_through(plans: list[Plan]) -> None:
    names = {plan.name for plan in plans}
    assert {f"SELECT {table}" for table in READ} <= names
    assert {f"INSERT {table}" for table in WRITTEN} <= names
    assert {name for name in names if name.startswith("UPDATE")} >= {"UPDATE cs_conversation"}
    assert [plan for plan in plans if plan.reads_all] == []
    reads = [plan for plan in plans if plan.name.startswith(("SELECT", "UPDATE"))]
    by_index = [
        p
        for p in reads
        if any(" ind" in x.lower() or "INDEX" in x or "PRIMARY KEY" in x for x in p.lines)
    ]
    assert by_index == reads
