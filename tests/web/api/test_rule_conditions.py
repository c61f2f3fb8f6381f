"""Hours, audiences, settings and conflicts by `/api/v1/replies`."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.core.clock import FakeClock
from app.core.ids import AccountId
from app.db.audit import AuditRow
from app.db.events import EventRow
from app.db.tx import Tx
from app.runtime import Runtime
from tests.wire import Sender, openid, value_of

ROOT = "/api/v1/replies"
NIGHT = {"from": "2026-01-01", "daily": [["20:00", "08:00"]]}
VIP = {"tags": ["vip"], "without": ["员工"]}


def rule(*words: str, say: str = "好的", **other: Any) -> dict[str, Any]:
    answers = [[{"do": "reply", "with": {"kind": "text", "text": say}}]]
    return {"name": say, "kind": "contains", "words": list(words), "answers": answers} | other


class Api:
    def __init__(self, client: httpx.AsyncClient, headers: dict[str, str]) -> None:
        self._client = client
        self._headers = headers

    async def __call__(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> httpx.Response:
        return await self._client.request(
            method, ROOT + path, json=body, headers={**self._headers, **headers}
        )

    async def ok(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        response = await self(method, path, body, **headers)
        assert response.is_success, response.text
        return response.json()


@pytest.fixture
async def api(
    client: httpx.AsyncClient,
    bearer: Callable[..., Awaitable[dict[str, str]]],
    account: Callable[..., Awaitable[AccountId]],
) -> Api:
    await account("cafe", appid="wx00000000000000aa", mode="plain", original_id="gh_0123456789ab")
    return Api(client, await bearer("marketer"))


class TestConditions:
    async def test_are_written_read_and_taken_away(self, api: Api) -> None:
        made = await api.ok("POST", "/rules", rule("夜宵", hours=NIGHT, audience=VIP))
        assert (made["hours"], made["audience"]) == (NIGHT, VIP)
        changed = await api.ok("PUT", f"/rules/{made['id']}", rule("夜宵", version=1, hours={}))
        assert (changed["hours"], changed["audience"]) == (None, None)
        binding = {"on": "menu", "key": "k", "answers": made["answers"], "audience": VIP}
        bound = await api.ok("POST", "/bindings", binding)
        assert (bound["hours"], bound["audience"]) == (None, VIP)
        again = await api.ok(
            "PUT", f"/bindings/{bound['id']}", {**binding, "version": 1, "hours": NIGHT}
        )
        assert (again["hours"], again["audience"]) == (NIGHT, VIP)
        assert (await api.ok("GET", "/bindings"))["items"] == [again]

    @pytest.mark.parametrize(
        ("body", "field", "problem"),
        [
            ({"hours": {"daily": [["25:00", "09:00"]]}}, "hours.daily", "格式不符"),
            ({"hours": {"from": "2026-02-30"}}, "hours.from", "须为日期"),
            ({"hours": {"from": "2026-02-02", "until": "2026-02-01"}}, "hours", "from 晚于 until"),
            ({"audience": {"tags": ["a"], "without": ["a"]}}, "audience", "同时出现"),
        ],
    )
    async def test_mistakes_are_named(
        self, api: Api, body: dict[str, Any], field: str, problem: str
    ) -> None:
        refused = await api("POST", "/rules", rule("x", **body))
        assert refused.status_code == 422
        (first,) = refused.json()["error"]["details"]["fields"]
        assert field in str(first)
        assert problem in str(first)

    async def test_a_dry_run_is_for_a_moment_and_for_tags(self, api: Api) -> None:
        await api.ok("POST", "/rules", rule("价格", say="贵宾价", audience=VIP, priority=2))
        await api.ok("POST", "/rules", rule("价格", say="夜间价", hours=NIGHT, priority=1))
        await api.ok("POST", "/rules", rule("价格", say="原价"))

        async def tried(**other: Any) -> Any:
            return await api.ok("POST", "/dry-run", {"text": "价格？", **other})

        noon = await tried()
        assert noon["rule"]["name"] == "原价"
        assert noon["compared"] == "价格"
        assert [(one["name"], one["why"]) for one in noon["passed"]] == [
            ("贵宾价", "audience"),
            ("夜间价", "hours"),
        ]
        assert noon["reason"] == (
            "只有这条规则匹配；「贵宾价」也匹配，但不对这位关注者生效；「夜间价」也匹配，但此时不生效"
        )
        night = await tried(at="2026-01-01T21:00:00+08:00")
        assert night["rule"]["name"] == "夜间价"
        assert [one["name"] for one in night["runners_up"]] == ["原价"]
        assert (await tried(tags=["vip"]))["rule"]["name"] == "贵宾价"
        assert (await tried(tags=["vip", "员工"]))["rule"]["name"] == "原价"
        refused = await api("POST", "/dry-run", {"text": "x", "at": "2026-01-01T21:00:00"})
        assert refused.status_code == 422

    async def test_a_binding_passed_over_is_explained(self, api: Api) -> None:
        binding = {"on": "menu", "key": "k", "answers": rule("x")["answers"], "hours": NIGHT}
        await api.ok("POST", "/bindings", binding)
        out = await api.ok(
            "POST", "/dry-run", {"event": {"on": "menu", "key": "k"}}, **{"Accept-Language": "en"}
        )
        assert out["reason"] == (
            "no rule or binding matches: the fallback answers;"
            " the binding on “menu k” does not hold at this time"
        )
        assert (out["compared"], out["passed"]) == (None, [])


class TestSettings:
    async def test_are_read_and_replaced(self, api: Api, runtime: Runtime) -> None:
        assert await api.ok("GET", "/settings") == {
            "enabled": True,
            "silent_for": [],
            "synonyms": [],
            "version": 0,
        }
        body = {"silent_for": [" vip "], "synonyms": [["营业时间", "几点开门"]], "version": 0}
        put = await api.ok("PUT", "/settings", body)
        assert (put["silent_for"], put["version"], put["enabled"]) == (["vip"], 1, True)
        assert await api.ok("GET", "/settings") == put
        stale = await api("PUT", "/settings", body)
        assert stale.status_code == 409
        assert stale.json()["error"]["details"] == {"current": 1}
        await api.ok("POST", "/rules", rule("x"))
        assert (await api("PUT", "/settings", {**body, "version": 1})).status_code == 409
        assert (await api.ok("PUT", "/settings", {"version": 2}))["version"] == 3

        async def written(tx: Tx) -> Any:
            audits = await tx.all(
                select(AuditRow.before, AuditRow.after)
                .where(AuditRow.action == "replies.settings.changed")
                .order_by(AuditRow.id)
            )
            events = await tx.all(
                select(EventRow.aggregate_seq).where(EventRow.kind == "book.changed")
            )
            return audits, events

        audits, events = await runtime.database.read(written)
        assert [tuple(row) for row in audits] == [
            ({}, {"silent_for": ["vip"], "synonyms": body["synonyms"]}),
            ({"silent_for": ["vip"], "synonyms": body["synonyms"]}, {}),
        ]
        assert sorted(row.aggregate_seq for row in events) == [1, 3]

    async def test_they_hold_for_the_next_delivery(
        self, api: Api, client: httpx.AsyncClient, clock: FakeClock
    ) -> None:
        await api.ok("POST", "/rules", rule("营业时间", say="九点到九点"))
        sender = Sender(token="tok123")

        async def answer(words: str) -> str:
            query, body = sender.request(sender.text(openid(1), words, clock.now()), clock.now())
            response = await client.post(f"/wechat/cafe?{query}", content=body)
            return value_of(response.text, "Content")

        assert (await answer("几点开门")).startswith("抱歉")
        await api.ok("PUT", "/settings", {"synonyms": [["营业时间", "几点开门"]], "version": 1})
        assert await answer("请问几点开门？") == "九点到九点"
        tried = await api.ok("POST", "/dry-run", {"text": "几点开门？"})
        assert tried["compared"] == "营业时间"
        await api.ok("PUT", "/settings", {"enabled": False, "version": 2})
        assert (await answer("营业时间")).startswith("抱歉")
        tried = await api.ok("POST", "/dry-run", {"text": "营业时间"})
        assert tried["reason"] == "关键词规则和绑定已全部停用，由兜底回复"
        await api.ok("PUT", "/settings", {"silent_for": ["vip"], "version": 3})
        tried = await api.ok("POST", "/dry-run", {"text": "营业时间", "tags": ["vip"]})
        assert (tried["reason"], tried["missed"]) == ("标签「vip」的关注者不自动回复", False)
        assert tried["messages"] == []

    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            ({"synonyms": [["一", "*"]]}, "同义词不能含"),
            ({"synonyms": [["一", "二"], ["二", "三"]]}, "「二」在同义词中出现了两次"),
            ({"silent_for": ["\x00"]}, "U+0000"),
            ({"quiet": True}, "没有这一项"),
        ],
    )
    async def test_mistakes_are_named(self, api: Api, body: dict[str, Any], problem: str) -> None:
        refused = await api("PUT", "/settings", {"version": 0, **body})
        assert refused.status_code == 422
        assert problem in refused.text


class TestConflicts:
    async def test_are_listed_in_the_reader_s_language(self, api: Api) -> None:
        assert await api.ok("GET", "/conflicts") == {
            "version": 0,
            "counts": {},
            "items": [],
            "left_off": 0,
        }
        star = await api.ok("POST", "/rules", rule("*", say="全部", kind="wildcard", priority=9))
        other = await api.ok("POST", "/rules", rule("甲", "乙", "丙", say="别的"))
        off = await api.ok("POST", "/rules", rule("丁", say="停用", enabled=False))
        found = await api.ok("GET", "/conflicts", **{"Accept-Language": "en"})
        assert (found["version"], found["left_off"]) == (3, 0)
        assert found["counts"] == {"never_wins": 1, "swallows": 1}
        dead, swallows = found["items"]
        assert dead["rules"] == [
            {"id": other["id"], "name": "别的"},
            {"id": star["id"], "name": "全部"},
        ]
        assert dead["message"] == "“别的” never answers: “*” of “全部” always goes before “丙”"
        assert (swallows["kind"], swallows["count"]) == ("swallows", 3)
        assert off["id"] not in str(found)
        short = await api.ok("GET", "/conflicts?limit=1")
        assert (len(short["items"]), short["left_off"]) == (1, 1)
        assert "永远不会回复" in short["items"][0]["message"]
