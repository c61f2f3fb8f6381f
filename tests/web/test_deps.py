"""Caller, account and writes, through routes made for the purpose."""

import asyncio
from datetime import timedelta
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from pydantic import BaseModel
from sqlalchemy import func, insert, select, update
from starlette.responses import Response

from app.accounts.registry import LiveAccount
from app.core.clock import FakeClock
from app.core.errors import Refusal
from app.db.audit import AuditRow
from app.db.receipts import Receipt
from app.db.tx import Tx
from app.runtime import Runtime
from app.web import deps
from app.web.deps import Caller, Write, needs, writes
from tests.web.conftest import Make, MakeToken


class SoldOut(Refusal):
    code = "SOLD_OUT"


class Note(BaseModel):
    text: str


@pytest.fixture(autouse=True)
def routes(app: FastAPI, runtime: Runtime) -> None:
    @app.get("/api/v1/test/who")
    async def who(
        caller: Annotated[Caller, needs("replies.write")],
        account: Annotated[LiveAccount, Depends(deps.account)],
    ) -> dict[str, Any]:
        actor = caller.actor
        return {
            "name": caller.name,
            "slug": account.slug,
            "actor": actor.name,
            "ip": actor.ip,
            "request_id": actor.request_id,
        }

    @app.post("/api/v1/test/notes/{number}")
    async def note(
        number: int, body: Note, caller: Annotated[Caller, needs("replies.write")],
        write: Annotated[Write, Depends(writes)],
    ) -> Response:  # fmt: skip
        async def work(tx: Tx) -> dict[str, str] | None:
            await runtime.audit.record(tx, caller.actor, "noted", f"note:{number}")
            if body.text == "sold out":
                raise SoldOut
            if body.text == "nothing":
                return None
            count = await tx.value(select(func.count()).select_from(AuditRow))
            return {"text": body.text, "count": str(count)}

        status = 204 if body.text == "nothing" else 201
        return await write(work, status=status, key_required=body.text == "must")


async def notes(runtime: Runtime) -> int:
    statement = select(func.count()).where(AuditRow.action == "noted")
    return int(await runtime.database.read(lambda tx: tx.value(statement)))


class TestCaller:
    @pytest.mark.parametrize(
        "header",
        [None, "Bearer ", "Bearer gx_" + "A" * 43, "Basic YTpi", "gx_x", "Bearer  gx_ x"],
    )
    async def test_without_a_good_token_nobody_is_signed_in(
        self, client: httpx.AsyncClient, account: Make, header: str | None
    ) -> None:
        await account()
        headers = {} if header is None else {"Authorization": header}
        answer = await client.get("/api/v1/test/who", headers=headers)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "NOT_SIGNED_IN"
        assert answer.headers["www-authenticate"] == "Bearer"

    async def test_without_the_right_it_is_not_allowed(
        self, client: httpx.AsyncClient, account: Make, bearer: MakeToken
    ) -> None:
        await account()
        answer = await client.get("/api/v1/test/who", headers=await bearer("read-only"))
        assert answer.status_code == 403
        assert answer.json()["error"]["details"] == {"permission": "replies.write"}

    async def test_the_actor_names_token_address_and_request(
        self, client: httpx.AsyncClient, account: Make, bearer: MakeToken
    ) -> None:
        await account()
        answer = await client.get("/api/v1/test/who", headers=await bearer("marketer"))
        assert answer.status_code == 200
        body = answer.json()
        assert body["actor"].startswith("token:")
        assert (body["name"], body["slug"], body["ip"]) == ("test", "cafe", "203.0.113.9")
        assert body["request_id"] == answer.headers["x-request-id"]

    def test_a_right_that_does_not_exist_is_a_mistake_found_at_start(self) -> None:
        with pytest.raises(ValueError, match=r"rule\.write"):
            needs("rule.write")


class TestAccount:
    async def test_of_several_one_must_be_named(
        self, client: httpx.AsyncClient, account: Make, bearer: MakeToken
    ) -> None:
        await account("cafe")
        await account("shop")
        headers = await bearer()
        answer = await client.get("/api/v1/test/who", headers=headers)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "ACCOUNT_REQUIRED"
        assert answer.json()["error"]["details"] == {"known": "cafe, shop"}
        named = await client.get(
            "/api/v1/test/who", headers={**headers, "X-Guanxi-Account": "shop"}
        )
        assert named.json()["slug"] == "shop"

    async def test_who_sees_one_need_not_name_it(
        self, client: httpx.AsyncClient, account: Make, bearer: MakeToken
    ) -> None:
        await account("cafe")
        shop = await account("shop")
        answer = await client.get("/api/v1/test/who", headers=await bearer(accounts=[shop]))
        assert answer.json()["slug"] == "shop"

    @pytest.mark.parametrize("slug", ["cafe", "nowhere", ""])
    async def test_anothers_account_is_as_unknown_as_none(
        self, client: httpx.AsyncClient, account: Make, bearer: MakeToken, slug: str
    ) -> None:
        await account("cafe")
        shop = await account("shop")
        headers = await bearer(accounts=[shop]) | {"X-Guanxi-Account": slug}
        answer = await client.get("/api/v1/test/who", headers=headers)
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "NO_SUCH_ACCOUNT"

    async def test_who_sees_none_is_told_so(
        self, client: httpx.AsyncClient, account: Make, bearer: MakeToken
    ) -> None:
        await account()
        answer = await client.get("/api/v1/test/who", headers=await bearer(accounts=[]))
        assert answer.status_code == 400


class TestWrites:
    async def post(
        self, client: httpx.AsyncClient, headers: dict[str, str], text: str = "a", number: int = 1
    ) -> httpx.Response:
        return await client.post(
            f"/api/v1/test/notes/{number}", json={"text": text}, headers=headers
        )

    async def test_without_a_key_each_call_counts(
        self, client: httpx.AsyncClient, bearer: MakeToken, runtime: Runtime
    ) -> None:
        headers = await bearer()
        assert (await self.post(client, headers)).status_code == 201
        assert "idempotent-replayed" not in (await self.post(client, headers)).headers
        assert await notes(runtime) == 2

    async def test_with_a_key_the_first_answer_comes_back(
        self, client: httpx.AsyncClient, bearer: MakeToken, runtime: Runtime
    ) -> None:
        headers = await bearer() | {"Idempotency-Key": "key-00000001"}
        first = await self.post(client, headers)
        again = await self.post(client, headers)
        assert (first.status_code, again.status_code) == (201, 201)
        assert again.content == first.content
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"
        assert await notes(runtime) == 1

    async def test_an_empty_answer_is_repeated_too(
        self, client: httpx.AsyncClient, bearer: MakeToken, runtime: Runtime
    ) -> None:
        headers = await bearer() | {"Idempotency-Key": "key-00000001"}
        first = await self.post(client, headers, "nothing")
        again = await self.post(client, headers, "nothing")
        assert (first.status_code, first.content) == (204, b"")
        assert (again.status_code, again.content) == (204, b"")
        assert await notes(runtime) == 1

    @pytest.mark.parametrize(("text", "number"), [("b", 1), ("a", 2)])
    async def test_the_key_of_another_request_is_refused(
        self,
        client: httpx.AsyncClient,
        bearer: MakeToken,
        runtime: Runtime,
        text: str,
        number: int,
    ) -> None:
        headers = await bearer() | {"Idempotency-Key": "key-00000001"}
        await self.post(client, headers)
        other = await self.post(client, headers, text, number)
        assert other.status_code == 409
        assert other.json()["error"]["code"] == "IDEMPOTENCY_MISMATCH"
        assert await notes(runtime) == 1

    async def test_a_key_belongs_to_its_caller(
        self, client: httpx.AsyncClient, bearer: MakeToken, runtime: Runtime
    ) -> None:
        for headers in (await bearer(), await bearer()):
            await self.post(client, headers | {"Idempotency-Key": "key-00000001"})
        assert await notes(runtime) == 2

    async def test_a_refusal_leaves_the_key_free(
        self, client: httpx.AsyncClient, bearer: MakeToken, runtime: Runtime
    ) -> None:
        headers = await bearer() | {"Idempotency-Key": "key-00000001"}
        refused = await self.post(client, headers, "sold out")
        assert refused.status_code == 409
        assert refused.json()["error"]["code"] == "SOLD_OUT"
        assert await notes(runtime) == 0
        assert (await self.post(client, headers)).status_code == 201

    async def test_a_key_is_free_again_after_two_days(
        self,
        client: httpx.AsyncClient,
        bearer: MakeToken,
        runtime: Runtime,
        clock: FakeClock,
    ) -> None:
        headers = await bearer() | {"Idempotency-Key": "key-00000001"}
        await self.post(client, headers)
        kept = await runtime.database.read(lambda tx: tx.value(select(Receipt.expires_at)))
        assert kept == clock.now() + timedelta(hours=48)
        past = clock.now() - timedelta(seconds=1)
        await runtime.database.transaction(
            lambda tx: tx.run(update(Receipt).values(expires_at=past))
        )
        assert (await self.post(client, headers, "b")).status_code == 201
        assert await notes(runtime) == 2

    @pytest.mark.parametrize("key", ["short", "k" * 129, "with blank", "schlüssel"])
    async def test_a_key_of_another_form_is_refused(
        self, client: httpx.AsyncClient, bearer: MakeToken, key: str
    ) -> None:
        headers = [(n.encode(), v.encode()) for n, v in (await bearer()).items()]
        answer = await client.post(
            "/api/v1/test/notes/1",
            json={"text": "a"},
            headers=[*headers, (b"idempotency-key", key.encode())],
        )
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "BAD_IDEMPOTENCY_KEY"

    async def test_where_a_key_is_needed_its_lack_is_told(
        self, client: httpx.AsyncClient, bearer: MakeToken
    ) -> None:
        answer = await self.post(client, await bearer(), "must")
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "IDEMPOTENCY_KEY_REQUIRED"

    async def test_of_many_at_once_one_takes_effect(
        self, client: httpx.AsyncClient, bearer: MakeToken, runtime: Runtime
    ) -> None:
        headers = await bearer() | {"Idempotency-Key": "key-00000001"}
        answers = await asyncio.gather(*(self.post(client, headers) for _ in range(12)))
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.content for answer in answers}) == 1
        assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
        assert await notes(runtime) == 1

    async def test_a_first_call_still_running_is_told_apart(
        self,
        client: httpx.AsyncClient,
        bearer: MakeToken,
        runtime: Runtime,
        on_postgres: bool,
    ) -> None:
        """Only PostgreSQL has two transactions at once."""
        if not on_postgres:
            pytest.skip("on SQLite the second waits for the first to end")
        headers = await bearer() | {"Idempotency-Key": "key-00000001"}
        await self.post(client, headers)
        row = await runtime.database.read(lambda tx: tx.first(select(Receipt.__table__)))
        fresh = headers | {"Idempotency-Key": "key-00000002"}
        held = {**row._mapping, "key": row.key[:-1] + "2"}

        database: Any = runtime.database
        async with database._engine.connect() as other:
            await other.execute(insert(Receipt), held)
            answer = await self.post(client, fresh)
            await other.rollback()
        assert answer.status_code == 409
        assert answer.json()["error"]["code"] == "IN_PROGRESS"
        assert answer.headers["retry-after"] == "1"
