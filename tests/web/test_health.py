from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import delete, insert, text

from app.accounts.models import AccountSecret
from app.core.clock import FakeClock, to_millis
from app.core.settings import Settings
from app.delivery.models import Job
from app.main import create_app
from app.runtime import Runtime
from tests.web.conftest import Make

Client = Callable[[str], httpx.AsyncClient]


@pytest.fixture
def client_at(app: FastAPI) -> Client:
    """A client that seems to come from this address."""

    def at(address: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 1))
        return httpx.AsyncClient(transport=transport, base_url="http://test")

    return at


async def test_healthz_asks_nothing(
    client: httpx.AsyncClient, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: object) -> object:
        raise AssertionError("asked the database")

    monkeypatch.setattr(runtime.database, "read", away)
    answer = await client.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "ok")
    assert answer.headers["cache-control"] == "no-store"


class TestReadyz:
    async def test_every_part_is_named(self, client_at: Client) -> None:
        answer = await client_at("127.0.0.1").get("/readyz")
        assert answer.status_code == 200
        body = answer.json()
        assert body["ready"] is True
        parts = {"database", "migrations", "writer", "worker", "accounts", "plugins"}
        assert set(body["parts"]) == parts
        assert all(part == {"ok": True, "problem": None} for part in body["parts"].values())

    async def test_a_database_that_is_away_is_red(
        self, client_at: Client, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def away(_: object) -> object:
            raise ConnectionError("nobody there")

        monkeypatch.setattr(runtime.database, "read", away)
        answer = await client_at("127.0.0.1").get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["ready"] is False
        assert "nobody there" in answer.json()["parts"]["database"]["problem"]

    async def test_an_old_database_is_red_and_says_what_to_do(
        self, client_at: Client, runtime: Runtime
    ) -> None:
        await runtime.database.transaction(
            lambda tx: tx.run(text("UPDATE alembic_version SET version_num = '00'"))
        )
        answer = await client_at("127.0.0.1").get("/readyz")
        assert answer.status_code == 503
        assert "run python -m app migrate" in answer.json()["parts"]["migrations"]["problem"]

    async def test_a_writer_that_cannot_commit_is_red(
        self, client_at: Client, runtime: Runtime
    ) -> None:
        runtime.writer.failed_at = runtime.clock.monotonic()
        answer = await client_at("127.0.0.1").get("/readyz")
        assert answer.status_code == 503
        assert "the last commit" in answer.json()["parts"]["writer"]["problem"]

    async def test_work_that_nobody_does_is_red_where_it_should_be_done(
        self, client_at: Client, runtime: Runtime, clock: FakeClock, app: FastAPI
    ) -> None:
        overdue = to_millis(clock.now()) - 301_000
        row = {
            "queue": "nobody", "task": "t", "args": {}, "run_at": overdue, "state": "ready",
            "attempts": 0, "max_attempts": 1, "fence": 0, "created_at": overdue,
        }  # fmt: skip
        await runtime.database.transaction(lambda tx: tx.run(insert(Job), row))
        answer = await client_at("127.0.0.1").get("/readyz")
        assert answer.status_code == 503
        assert "is due for over 0:05:00" in answer.json()["parts"]["worker"]["problem"]
        web = runtime.settings.model_copy(update={"role": "web"})
        app.state.runtime = _changed(runtime, settings=web)
        answer = await client_at("127.0.0.1").get("/readyz")
        assert answer.status_code == 200
        assert answer.json()["parts"]["worker"]["ok"] is False

    async def test_a_part_of_the_process_in_trouble_is_red(
        self, client_at: Client, app: FastAPI, runtime: Runtime
    ) -> None:
        checks = {"desk": lambda: "nobody answers", "till": lambda: None}
        app.state.runtime = _changed(runtime, checks=checks)
        answer = await client_at("127.0.0.1").get("/readyz")
        assert answer.status_code == 503
        parts = answer.json()["parts"]
        assert parts["desk"] == {"ok": False, "problem": "nobody answers"}
        assert parts["till"]["ok"] is True

    async def test_a_broken_account_is_told_but_not_red(
        self, client_at: Client, runtime: Runtime, account: Make
    ) -> None:
        await account()
        await runtime.database.transaction(
            lambda tx: tx.run(delete(AccountSecret).where(AccountSecret.name == "token"))
        )
        await runtime.database.transaction(
            lambda tx: tx.run(text("UPDATE account SET version = version + 1"))
        )
        await runtime.accounts.refresh()
        answer = await client_at("127.0.0.1").get("/readyz")
        assert answer.status_code == 200
        assert "cafe has no token" in answer.json()["parts"]["accounts"]["problem"]

    async def test_strangers_see_no_details(self, client_at: Client) -> None:
        answer = await client_at("203.0.113.9").get("/readyz")
        assert answer.status_code == 200
        assert all(part == {"ok": True} for part in answer.json()["parts"].values())


def _changed(runtime: Runtime, **fields: Any) -> Runtime:
    return replace(runtime, **fields)


class TestMetrics:
    @pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "::1", "::ffff:192.168.1.1"])
    async def test_private_addresses_may_read(self, client_at: Client, address: str) -> None:
        answer = await client_at(address).get("/metrics")
        assert answer.status_code == 200
        assert "guanxi_writer_queue" in answer.text

    @pytest.mark.parametrize("address", ["203.0.113.9", "8.8.8.8", "testclient"])
    async def test_others_may_not(self, client_at: Client, address: str) -> None:
        answer = await client_at(address).get("/metrics")
        assert answer.status_code == 403

    async def test_an_unknown_proxy_on_a_private_address_is_not_believed(
        self, client_at: Client
    ) -> None:
        answer = await client_at("127.0.0.1").get("/metrics", headers={"X-Forwarded-For": "::1"})
        assert answer.status_code == 403

    async def test_with_a_token_only_the_token_counts(
        self, settings: Settings, runtime: Runtime, client_at: Client
    ) -> None:
        del runtime
        secret = "metrics-token"
        app = create_app(Settings.model_validate(settings.model_dump() | {"metrics_token": secret}))
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
                assert (await client.get("/metrics")).status_code == 403
                wrong = {"Authorization": "Bearer x"}
                assert (await client.get("/metrics", headers=wrong)).status_code == 403
                right = {"Authorization": f"Bearer {secret}"}
                assert (await client.get("/metrics", headers=right)).status_code == 200


class TestDomainProof:
    @pytest.fixture(autouse=True)
    def files(self, settings: Settings) -> None:
        folder = settings.data_dir / "verify"
        folder.mkdir()
        (folder / "MP_verify_AbC123.txt").write_text("AbC123")
        for place in (folder, settings.data_dir):
            (place / "secret.txt").write_text("hidden")

    async def test_the_file_is_served_as_it_is(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/MP_verify_AbC123.txt")
        assert (answer.status_code, answer.text) == (200, "AbC123")

    @pytest.mark.parametrize(
        "path",
        [
            "/MP_verify_other.txt",
            "/MP_verify_../../secret.txt",
            "/verify/MP_verify_AbC123.txt",
            "/secret.txt",
            "/%2e%2e/secret.txt",
            "/MP_verify_%2e%2e%2fsecret.txt",
        ],
    )
    async def test_nothing_else_is(self, client: httpx.AsyncClient, path: str) -> None:
        answer = await client.get(path)
        assert answer.status_code == 404
        assert "hidden" not in answer.text
