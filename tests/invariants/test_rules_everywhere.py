"""A rule changed through one process is answered by every other, without a restart."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.core.settings import Settings
from app.db.audit import CLI
from app.runtime import open_runtime
from tests.conftest import KEY
from tests.invariants.processes import Process
from tests.shop import add_account

PATIENCE_SECONDS = 10.0
"""The promise is two seconds; a machine that runs the whole suite beside it may take longer."""


@pytest.fixture
async def token(settings: Settings, on_postgres: bool) -> str:
    if not on_postgres:
        pytest.skip("on SQLite one process serves")
    async with open_runtime(settings) as runtime:
        await add_account(runtime)
        made = await runtime.database.transaction(
            lambda tx: runtime.token_service.make(
                tx, name="test", role="marketer", accounts=None, actor=CLI
            )
        )
    return made.secret


@pytest.fixture
async def pair(settings: Settings, token: str, tmp_path: Path) -> AsyncIterator[list[Process]]:
    """Two servers that know of each other by the database alone."""
    environment = {
        "GUANXI_DATABASE_URL": settings.database_url,
        "GUANXI_SECRET_KEY": KEY,
        "GUANXI_DATA_DIR": str(tmp_path),
        "GUANXI_WECHAT_API_BASE": "http://127.0.0.1:9",
    }
    made = [Process(["serve"], tmp_path, "app", environment) for _ in range(2)]
    try:
        for each in made:
            await each.start()
        yield made
    finally:
        for each in made:
            await each.kill()


def rule(words: str, answer: str, **more: Any) -> dict[str, Any]:
    said = {"do": "reply", "with": {"kind": "text", "text": answer}}
    return {"name": "r", "kind": "exact", "words": [words], "answers": [[said]], **more}


async def test_a_rule_is_made_changed_and_deleted_in_all_processes(
    pair: list[Process], token: str
) -> None:
    first, second = pair
    numbers = itertools.count(1)

    async def api(method: str, path: str, body: object = None) -> Any:
        content = json.dumps(body).encode() if body else b""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        target = f"/api/v1/replies/{path}"
        status, answer = await first.request(method, target, content, headers)
        assert status < 300, answer
        return json.loads(answer) if answer else None

    async def both_say(wanted: bool, answer: str) -> None:
        """The process that was asked to change does so at once, the other soon after."""
        assert (await first.say("豆子", 1, next(numbers)) == answer) is wanted
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (  # noqa: ASYNC110  # another process reads it
                await second.say("豆子", 2, next(numbers)) == answer
            ) is not wanted:
                await asyncio.sleep(0.05)

    made = await api("POST", "rules", rule("豆子", "日晒"))
    await both_say(True, "日晒")
    changed = await api("PUT", f"rules/{made['id']}", rule("豆子", "水洗", version=1))
    await both_say(True, "水洗")
    await api("DELETE", f"rules/{changed['id']}")
    await both_say(False, "水洗")
