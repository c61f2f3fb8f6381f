"""Conversations run by the API against the rules as they are, were, or might become."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
import yaml
from sqlalchemy import func, select

from app.core.ids import AccountId
from app.db.tx import Tx
from app.engines.support.models import Message
from app.runtime import Runtime
from tests.web.api.test_replies import ROOT, Api, api, rule, say

__all__ = ["api"]
SCRIPT = """
- name: 一
  steps:
    - {say: 咖啡, expect: {rule: 规则, text: 好的}}
    - {say: 茶, expect: {missed: true}}
"""


async def send(
    api: Api, body: str, query: str = "", media: str = "application/yaml", **headers: str
) -> httpx.Response:
    return await api.client.post(
        f"{ROOT}/test{query}",
        content=body.encode(),
        headers={**api.headers, "content-type": media, **headers},
    )


async def test_the_rules_as_they_are(api: Api, runtime: Runtime) -> None:
    await api.made("/rules", rule("咖啡"))
    found = (await send(api, SCRIPT)).json()
    assert (found["passed"], found["steps"], found["expected"], found["failed"]) == (True, 2, 2, 0)
    assert found["changes"] is None
    came = found["conversations"][0]["steps"][0]["came"]
    assert (came["text"], came["rule"], came["reason"]) == ("好的", "规则", "只有这条规则匹配")
    assert came["handler"] == "keywords.rule"

    async def work(tx: Tx) -> Any:
        return await tx.value(select(func.count()).select_from(Message))

    assert await runtime.database.read(work) == 0, "nothing is stored"


async def test_what_is_not_as_expected(api: Api) -> None:
    await api.made("/rules", rule("咖啡", answers=[say("别的")]))
    found = (await send(api, SCRIPT, **{"Accept-Language": "en"})).json()
    assert (found["passed"], found["failed"]) == (False, 1)
    step = found["conversations"][0]["steps"][0]
    assert step["failures"] == [{"what": "text", "wanted": "好的", "came": "别的"}]
    assert step["came"]["reason"] == "only this rule matches"


async def test_versions_and_what_changed_between_them(api: Api) -> None:
    made = await api.made("/rules", rule("咖啡"))
    await api.made("/rules", rule("茶"))
    await api("PUT", f"/rules/{made['id']}", rule("咖啡", answers=[say("新的")], version=1))
    assert (await send(api, SCRIPT, "?version=1")).json()["passed"]
    assert not (await send(api, SCRIPT)).json()["passed"]
    found = (await send(api, SCRIPT, "?against=1")).json()
    assert [
        (one["number"], one["did"], one["before"]["text"][:3], one["now"]["text"])
        for one in found["changes"]
    ] == [(1, "say 咖啡", "好的", "新的"), (2, "say 茶", "抱歉，", "好的")]
    assert (await send(api, SCRIPT, "?version=3&against=3")).json()["changes"] == []
    unknown = await send(api, SCRIPT, "?version=9")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "NO_SUCH_VERSION")


async def test_rules_that_might_become(api: Api) -> None:
    body = f"""
conversations: {SCRIPT.replace(chr(10), chr(10) + "  ")}
book:
  guanxi: 1
  rules:
    - name: 规则
      kind: exact
      words: [咖啡]
      answers: [[{{do: reply, with: {{kind: text, text: 好的}}}}]]
"""
    assert (await send(api, body)).json()["passed"]
    wrong = await send(api, body.replace("exact", "sharp"))
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "MISTAKES")


async def test_json(api: Api) -> None:
    steps = [{"say": "你好", "expect": {"missed": True}}]
    body = {"conversations": [{"name": "x", "steps": steps}]}
    response = await api("POST", "/test", body)
    assert response.json()["passed"]


async def test_a_bad_file_is_refused_with_every_mistake(api: Api) -> None:
    response = await send(api, "[{name: x, steps: [{}, {say: y, tap: z}]}, 5]")
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (422, "MISTAKES")
    assert [one["place"] for one in error["details"]["mistakes"]] == [
        "[0].steps[0]",
        "[0].steps[1]",
        "[1]",
    ]


@pytest.mark.parametrize("body", ["", "x", "[]", "[{name: x, steps: [{say: y}]}"])
async def test_what_is_no_file(api: Api, body: str) -> None:
    assert (await send(api, body)).status_code == 422


async def test_who_may(
    api: Api,
    bearer: Callable[..., Awaitable[dict[str, str]]],
    account: Callable[..., Awaitable[AccountId]],
) -> None:
    assert (await send(Api(api.client, await bearer("read-only")), SCRIPT)).status_code == 200
    assert (await send(Api(api.client, await bearer("cashier")), SCRIPT)).status_code == 403


async def test_a_version_that_is_named_goes_before_the_rules_of_the_file(api: Api) -> None:
    await api.made("/rules", rule("咖啡"))
    script = json.dumps({"conversations": yaml.safe_load(SCRIPT), "book": {"guanxi": 1}})
    by_file = (await send(api, script, media="application/json")).json()
    by_version = (await send(api, script, "?version=1", media="application/json")).json()
    assert (by_file["passed"], by_version["passed"]) == (False, True)
