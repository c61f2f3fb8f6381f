"""`python -m tests.bench.imports`: 10,000 rules brought into a running shop, deliveries going on.

Prints for both databases how long planning and applying take for whoever asks, and how long followers
wait for their answers meanwhile.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import httpx

from app.core.settings import Settings
from app.db.audit import SYSTEM
from app.engines.replies.document_writing import write_document
from app.runtime import open_runtime
from tests.bench import shop
from tests.bench.databases import POSTGRES, SQLITE, Databases, Shop
from tests.bench.processes import running
from tests.wire import Sender, openid

RULES = 10_000
PAUSE_SECONDS = 0.01
"""Between two deliveries of each of four followers."""
_ROOT = "/api/v1/replies"


def book(rules: tuple[shop.Rule, ...], priority: int) -> bytes:
    """The rules as a file."""
    return write_document(
        {
            "guanxi": 1,
            "rules": [
                {
                    "name": f"{n} {rule.name}",
                    "kind": rule.kind,
                    "words": [rule.word],
                    "priority": priority,
                    "answers": [[{"do": "reply", "with": {"kind": "text", "text": rule.answer}}]],
                }
                for n, rule in enumerate(rules)
            ],
        },
        "yaml",
    ).encode()


class Chat:
    """Followers who go on talking; how long each waited for an answer."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._sender = Sender(token=shop.TOKEN, aes_key=shop.AES_KEY, appid=shop.APPID)
        self.waited: list[float] = []

    async def go_on(self, who: int) -> None:
        while True:
            now = datetime.now(UTC)
            xml = self._sender.text(openid(who), "营业时间", now)
            query, body = self._sender.request(
                xml.replace("gh_0123456789ab", shop.ORIGINAL_ID), now
            )
            started = time.perf_counter()
            answer = await self._http.post(f"/wechat/{shop.SLUG}?{query}", content=body)
            self.waited.append(time.perf_counter() - started)
            assert answer.status_code == 200, answer.text
            await asyncio.sleep(PAUSE_SECONDS)


_T = TypeVar("_T")


async def _token(url: str) -> str:
    settings = Settings.model_validate({"database_url": url, "secret_key": shop.SECRET_KEY})
    async with open_runtime(settings) as runtime:
        made = await runtime.database.transaction(
            lambda tx: runtime.token_service.make(tx, name="bench", role="owner", actor=SYSTEM)
        )
    return made.secret


async def _measure(base: str, secret: str) -> None:
    async with httpx.AsyncClient(base_url=base, timeout=30) as http:
        chat = Chat(http)
        talking = [asyncio.ensure_future(chat.go_on(who)) for who in range(4)]
        headers = {"Authorization": f"Bearer {secret}"}
        rules = shop.rules(RULES)
        await _phase(chat, "nothing", asyncio.sleep(2))
        for what, path, raw in (
            ("plan", "/import?plan=true", book(rules, 0)),
            ("import 10,000", "/import", book(rules, 0)),
            ("change 10,000", "/import", book(rules, 1)),
            ("rollback", "/versions/2/rollback", b""),
            ("export", "/export", None),
        ):
            method = "GET" if raw is None else "POST"
            call = http.request(method, _ROOT + path, content=raw, headers=headers)
            answer = await _phase(chat, what, call)
            assert answer.status_code == 200, answer.text[:500]
        for one in talking:
            one.cancel()
        await asyncio.gather(*talking, return_exceptions=True)


async def _phase(chat: Chat, what: str, call: Awaitable[_T]) -> _T:
    await asyncio.sleep(0.5)
    chat.waited.clear()
    started = time.perf_counter()
    answer = await call
    took = time.perf_counter() - started
    waits = sorted(chat.waited) or [0.0]
    p99 = waits[min(len(waits) - 1, int(len(waits) * 0.99))]
    print(
        f"  {what:14} {took:6.2f} s   deliveries {len(waits):5}   "
        f"p50 {waits[len(waits) // 2] * 1000:5.1f}   p99 {p99 * 1000:6.1f}   "
        f"worst {waits[-1] * 1000:6.1f} ms",
        flush=True,
    )
    return answer


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="gxb", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        os.environ["XDG_RUNTIME_DIR"] = name
        databases = Databases(folder)
        try:
            for kind in (SQLITE, POSTGRES):
                url = databases.fresh(kind, Shop(rules=10))
                secret = asyncio.run(_token(url))
                command = [sys.executable, "-m", "app", "serve", "--port", "{port}"]
                environment = {
                    "GUANXI_DATABASE_URL": url,
                    "GUANXI_SECRET_KEY": shop.SECRET_KEY,
                    "GUANXI_DATA_DIR": name,
                    "GUANXI_LOG_LEVEL": "warning",
                }
                print(kind, flush=True)
                with running(command, folder / "server.log", environment) as server:
                    asyncio.run(_measure(f"http://127.0.0.1:{server.port}", secret))
        finally:
            databases.close()


if __name__ == "__main__":
    main()
