"""`maintain` and what `doctor` says of months, as people run them."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from app.core.ids import first_id
from app.core.settings import Settings
from app.db.months import month_of
from tests.bench.postgres import connected
from tests.cli.conftest import Run

INSERT = (
    "INSERT INTO cs_message (id, account_id, conversation_id, seq, follower_id, direction,"
    " author_kind, kind, body, text, private, created_at) VALUES (:id, 1, 1, 1, 1, 'in',"
    " 'follower', 'text', '{}', 'x', false, '2026-01-01 00:00:00')"
)


def say(settings: Settings, identifier: int) -> None:
    with connected(settings.database_url, autocommit=False) as connection:
        connection.execute(text(INSERT), {"id": identifier})
        connection.commit()


def test_with_nothing_to_do_it_says_so(run: Run) -> None:
    run("maintain")
    again = run("maintain")
    assert again.code == 0, again.stderr
    assert "nothing to do" in again.stdout
    assert "nothing to do" in run("maintain", "--plan").stdout


def test_the_plan_changes_nothing_and_the_run_does_it(run: Run, settings: Settings) -> None:
    run("maintain")
    say(settings, first_id(datetime(2025, 3, 1, tzinfo=UTC)))
    for _ in range(2):
        planned = run("maintain", "--plan", messages_kept_days="90")
        assert "cs_message: delete 1 rows older than 90 days" in planned.stdout
    done = run("maintain", messages_kept_days="90")
    assert "cs_message: delete 1 rows older than 90 days" in done.stdout
    assert "nothing to do" in run("maintain", messages_kept_days="90").stdout


def test_messages_astray_are_a_finding(run: Run, settings: Settings, on_postgres: bool) -> None:
    if not on_postgres:
        pytest.skip("SQLite has no partitions")
    assert run("doctor").code == 0
    say(settings, first_id(datetime.now(UTC)))
    found = run("doctor")
    assert found.code == 1
    assert "The default partition holds messages" in found.stdout
    assert "run python -m app maintain" in found.stdout
    assert run("maintain").code == 0
    assert run("doctor").code == 0


def test_a_missing_month_is_a_finding(run: Run, settings: Settings, on_postgres: bool) -> None:
    if not on_postgres:
        pytest.skip("SQLite has no partitions")
    assert run("migrate").code == 0
    month = month_of(datetime.now(UTC)).after()
    with connected(settings.database_url, autocommit=True) as connection:
        connection.execute(text(f"DROP TABLE cs_message_{month.year}_{month.number:02}"))
    found = run("doctor")
    assert found.code == 1
    assert f"no partition for {month}" in found.stdout
    assert f"cs_message_{month.year}_{month.number:02}" in run("maintain").stdout
    assert run("doctor").code == 0
