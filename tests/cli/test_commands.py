"""The short commands: migrate, doctor, openapi, work, and how mistakes are told."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


def test_migrating_an_empty_database(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    before = run("migrate", "--check", database_url=url)
    assert before.code == 1
    assert "run python -m app migrate" in before.stderr
    done = run("migrate", database_url=url)
    assert done.code == 0, done.stderr
    assert "upgraded" in done.stdout
    assert run("migrate", "--check", database_url=url).code == 0
    assert "up to date" in run("migrate", database_url=url).stdout


def test_serving_an_old_database_is_refused(run_apart: Run, tmp_path: Path) -> None:
    refused = run_apart("serve", "--port", "0", database_url=f"sqlite:///{tmp_path}/new.db")
    assert refused.code == 1
    assert "run python -m app migrate" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_healthy_server_gets_a_clean_bill(run: Run) -> None:
    found = run("doctor")
    assert found.code == 0, found.stdout
    assert "✗" not in found.stdout
    assert "accounts: none yet" in found.stdout


def test_trouble_comes_with_its_remedy(run: Run, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    found = run("doctor", secret_key="short", database_url=NOWHERE, data_dir=str(blocked / "x"))
    assert found.code == 1
    assert "openssl rand -base64 48" in found.stdout
    assert "change its rights or GUANXI_DATA_DIR" in found.stdout
    assert "Check GUANXI_DATABASE_URL" in found.stdout
    assert "Traceback" not in found.stdout + found.stderr


def test_another_secret_key_is_found_out(run: Run) -> None:
    made = run(
        "setup", "account", "--slug", "cafe", "--name", "n", "--kind", "service",
        "--appid", "wx00000000000000aa", "--secret", "0123456789abcdef", "--token", "tok123",
    )  # fmt: skip
    assert made.code == 0, made.stderr
    found = run("doctor", secret_key="another-key-of-at-least-thirty-two-characters")
    assert found.code == 1
    assert "GUANXI_SECRET_KEY may have been changed" in found.stdout


def test_the_document_needs_no_database(run: Run, tmp_path: Path) -> None:
    printed = run("openapi", database_url=NOWHERE)
    assert printed.code == 0, printed.stderr
    document = json.loads(printed.stdout)
    assert "/api/v1/accounts" in document["paths"]
    assert run("openapi", "-o", str(tmp_path / "api.json")).code == 0
    assert json.loads((tmp_path / "api.json").read_text()) == document


def test_on_sqlite_there_is_no_separate_worker(run_apart: Run, on_postgres: bool) -> None:
    if on_postgres:
        pytest.skip("about SQLite")
    refused = run_apart("work")
    assert refused.code == 1
    assert "on SQLite the worker runs inside `serve`" in refused.stderr


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"database_url": NOWHERE}, "The database cannot be used"),
        ({"database_url": "mysql://x"}, "GUANXI_DATABASE_URL"),
        ({"role": "king", "database_pool_size": "none"}, "GUANXI_DATABASE_POOL_SIZE"),
    ],
)
def test_a_mistake_is_a_sentence(run: Run, changed: dict[str, str], words: str) -> None:
    refused = run("migrate", **changed)
    assert refused.code == 1
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr
