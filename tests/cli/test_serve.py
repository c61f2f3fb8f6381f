import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from sqlalchemy import delete

from app.accounts.models import AccountSecret
from app.accounts.service import Accounts
from app.cli.serve import CannotListen, check, listen, raise_file_limit
from app.core.clock import FakeClock
from app.core.ids import Ids
from app.core.settings import BadSettings, Settings
from app.core.vault import Vault
from app.db.audit import Audit
from app.db.database import Database
from tests.cli.conftest import PATIENCE, Run, Serving
from tests.conftest import KEY
from tests.factories.accounts import make_account

Serve = Callable[..., Serving]


def gone(pid: int) -> bool:
    """No such process, or one that nobody has fetched yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_serves_until_told_and_ends_within_ten_seconds(serve: Serve) -> None:
    serving = serve()
    serving.until_ready()
    ready = httpx.get(f"{serving.url}/readyz", timeout=5)
    assert ready.status_code == 200, ready.text
    assert ready.json()["ready"] is True
    (child,) = serving.children()
    started = time.monotonic()
    serving.process.terminate()
    assert serving.process.wait(10) == 0
    assert time.monotonic() - started < 10
    assert gone(child)
    assert "Traceback" not in serving.log.read_text()


def test_a_killed_process_is_replaced(serve: Serve) -> None:
    serving = serve()
    serving.until_ready()
    (first,) = serving.children()
    os.kill(first, signal.SIGKILL)
    until(lambda: bool(serving.children()) and serving.children() != [first])
    serving.until_ready()
    assert "serve.process_died" in serving.log.read_text()


def test_a_process_whose_parent_is_killed_ends_too(serve: Serve) -> None:
    serving = serve()
    serving.until_ready()
    (child,) = serving.children()
    serving.process.kill()
    serving.process.wait(5)
    until(lambda: gone(child), 15)


def test_a_second_one_on_the_same_sqlite_database_is_refused(
    serve: Serve, run_apart: Run, on_postgres: bool
) -> None:
    if on_postgres:
        pytest.skip("PostgreSQL takes as many as there are")
    serving = serve()
    serving.until_ready()
    second = run_apart("serve", "--port", "0")
    assert second.code == 1
    assert f"pid {serving.process.pid}" in second.stderr
    assert "on SQLite only one may serve" in second.stderr
    assert "Traceback" not in second.stderr
    serving.process.terminate()
    assert serving.process.wait(10) == 0


def test_several_processes_share_one_port(serve: Serve, on_postgres: bool) -> None:
    if not on_postgres:
        pytest.skip("on SQLite one process serves")
    serving = serve("--processes", "2")
    serving.until_ready()
    assert len(serving.children()) == 2
    figures = httpx.get(f"{serving.url}/metrics", timeout=10)
    assert figures.status_code == 200
    assert "guanxi_" in figures.text
    first, second = serving.children()
    os.kill(first, signal.SIGKILL)
    until(lambda: len(serving.children()) == 2 and first not in serving.children())
    assert second in serving.children()
    serving.until_ready()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"secret_key": ""}, "GUANXI_SECRET_KEY must have at least 32 characters"),
        ({"secret_key": "short"}, "GUANXI_SECRET_KEY must have at least 32 characters"),
        ({"role": "worker"}, "worker"),
        (
            {"simulator": True, "public_url": "https://wx.example.com"},
            "the simulator must not run at a public URL",
        ),
    ],
)
def test_what_must_not_run_is_refused_in_words(
    settings: Settings, changed: dict[str, object], words: str
) -> None:
    with pytest.raises(BadSettings) as caught:
        check(Settings.model_validate(settings.model_dump() | changed), 1)
    assert words in caught.value.say("en")


def test_more_than_one_process_on_sqlite_is_refused(settings: Settings, on_postgres: bool) -> None:
    if on_postgres:
        check(settings, 2)
        return
    with pytest.raises(BadSettings) as caught:
        check(settings, 2)
    assert "on SQLite one process serves" in caught.value.say("en")


@pytest.mark.parametrize("host", ["203.0.113.7", "no.such.host.invalid", "2001:db8::1"])
def test_an_address_that_is_not_ours_is_told(host: str) -> None:
    with pytest.raises(CannotListen) as caught:
        listen(host, 0)
    assert host in caught.value.say("zh")


def test_the_soft_limit_of_open_files_is_raised_to_the_hard_one() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        raise_file_limit()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert soft >= min(65_536, hard if hard != resource.RLIM_INFINITY else 65_536)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_an_account_without_a_token_is_refused(
    run_apart: Run, database: Database, ids: Ids, clock: FakeClock
) -> None:
    accounts = Accounts(ids, clock, Vault(KEY), Audit(ids, clock))
    await make_account(database, accounts)
    await database.transaction(
        lambda tx: tx.run(delete(AccountSecret).where(AccountSecret.name == "token"))
    )
    refused = run_apart("serve", "--port", "0")
    assert refused.code == 1
    assert "Account cafe has no token" in refused.stderr
    assert "--slug cafe --token" in refused.stderr
    assert "Traceback" not in refused.stderr
