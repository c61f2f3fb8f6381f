"""An installation in one process, as the tests of webhook and conversation use it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy import func, select

from app.accounts.service import AccountKeys, AccountSettings
from app.core.clock import Clock, FakeClock
from app.core.ids import AccountId
from app.core.settings import Settings
from app.db.audit import CLI
from app.db.tx import Statement, Tx
from app.runtime import Extensions, Runtime, open_runtime
from app.web.webhook import Webhook
from tests.wire import AES_KEY, APPID, ORIGINAL_ID, TOKEN, Sender, openid

SLUG = "shop"
PATIENCE_SECONDS = 30


@dataclass
class Shop:
    runtime: Runtime
    clock: FakeClock
    sender: Sender
    http: httpx.AsyncClient
    account_id: AccountId

    async def post(
        self, xml: str, sender: Sender | None = None, slug: str = SLUG
    ) -> httpx.Response:
        """One delivery; the answer is in clear in `.extensions["xml"]`."""
        sender = sender or self.sender
        query, body = sender.request(xml, self.clock.now())
        async with asyncio.timeout(PATIENCE_SECONDS):  # silence would be waited for for ever
            return await self.http.post(f"/wechat/{slug}?{query}", content=body)

    async def answer(self, xml: str) -> str:
        """The passive answer of a delivery in clear; empty for none."""
        response = await self.post(xml)
        assert response.status_code == 200, response
        text = self.sender.read(response.content)
        return "" if text == "success" else text

    async def say(self, words: str, who: int = 1, number: int | None = None) -> str:
        return await self.answer(self.sender.text(openid(who), words, self.clock.now(), number))

    async def event(self, event: str, who: int = 1, **fields: str) -> str:
        return await self.answer(self.sender.event(openid(who), event, self.clock.now(), **fields))

    async def rows(
        self, statement: Statement, params: Mapping[str, Any] | None = None
    ) -> Sequence[Any]:
        async def work(tx: Tx) -> Sequence[Any]:
            return await tx.all(statement, params)

        return await self.runtime.database.read(work)

    async def count(self, table: Any) -> int:
        return int((await self.rows(select(func.count()).select_from(table)))[0][0])


async def add_account(
    runtime: Runtime,
    slug: str = SLUG,
    *,
    mode: str = "plain",
    kind: str = "service",
    verified: bool = True,
    original_id: str | None = ORIGINAL_ID,
    appid: str = APPID,
    aes_key: str = AES_KEY,
) -> AccountId:
    """The account whose keys `tests.wire` knows."""

    async def work(tx: Tx) -> AccountId:
        return await runtime.account_service.create(
            tx,
            slug=slug,
            settings=AccountSettings(
                name="山谷咖啡",
                kind=kind,
                verified=verified,
                original_id=original_id,
                appid=appid,
                mode=mode,
                contact="人工客服电话：010-12345678",
            ),
            keys=AccountKeys(token=TOKEN, secret="s" * 32, aes_key=aes_key),
            actor=CLI,
        )

    account_id = await runtime.database.transaction(work)
    await runtime.accounts.refresh()
    return account_id


@asynccontextmanager
async def open_shop(
    settings: Settings,
    clock: FakeClock,
    extensions: Extensions | None = None,
    prepare: Callable[[Runtime], Any] | None = None,
    **account: Any,
) -> AsyncIterator[Shop]:
    """A runtime with one account, and HTTP straight to its webhook."""
    async with open_runtime(settings, clock, extensions) as runtime:
        account_id = await add_account(runtime, **account)
        if prepare is not None:
            await prepare(runtime)
        transport = httpx.ASGITransport(webhook_of(runtime, clock))
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
            sender = Sender(safe=account.get("mode") == "safe")
            yield Shop(runtime, clock, sender, http, account_id)


def webhook_of(runtime: Runtime, clock: Clock, most_held: int | None = None) -> Webhook:
    return Webhook(
        runtime.accounts,
        runtime.writer,
        runtime.deadline,
        runtime.quarantine,
        clock,
        most_held=most_held,
    )
