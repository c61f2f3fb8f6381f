"""`/api/v1/replies` as integrations see it, and what a delivery is answered meanwhile."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.core.clock import FakeClock
from app.core.ids import AccountId
from app.db.audit import AuditRow
from app.db.tx import Tx
from app.engines.followers.models import FollowerTag, Tag
from app.engines.support.models import Message
from app.runtime import Runtime
from tests.wire import Sender, openid

ROOT = "/api/v1/replies"


def say(text: str) -> list[dict[str, Any]]:
    return [{"do": "reply", "with": {"kind": "text", "text": text}}]


def rule(*words: str, **other: Any) -> dict[str, Any]:
    return {
        "name": "规则",
        "kind": "contains",
        "words": list(words),
        "answers": [say("好的")],
    } | other


@dataclass
class Api:
    client: httpx.AsyncClient
    headers: dict[str, str]

    async def __call__(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> httpx.Response:
        return await self.client.request(
            method, ROOT + path, json=body, headers={**self.headers, **headers}
        )

    async def made(self, path: str, body: object) -> dict[str, Any]:
        response = await self("POST", path, body)
        assert response.status_code == 201, response.text
        found: dict[str, Any] = response.json()
        return found


@dataclass
class Follower:
    client: httpx.AsyncClient
    clock: FakeClock
    sender: Sender

    async def post(self, xml: str) -> str:
        query, body = self.sender.request(xml, self.clock.now())
        response = await self.client.post(f"/wechat/cafe?{query}", content=body)
        assert response.status_code == 200
        return "" if response.content == b"success" else self.sender.read(response.content)

    async def say(self, words: str, number: int | None = None) -> str:
        return await self.post(self.sender.text(openid(1), words, self.clock.now(), number))

    async def do(self, event: str, **fields: str) -> str:
        return await self.post(self.sender.event(openid(1), event, self.clock.now(), **fields))


@pytest.fixture
async def api(
    client: httpx.AsyncClient,
    bearer: Callable[..., Awaitable[dict[str, str]]],
    account: Callable[..., Awaitable[AccountId]],
) -> Api:
    await account("cafe", appid="wx00000000000000aa", mode="plain", original_id="gh_0123456789ab")
    return Api(client, await bearer("marketer"))


@pytest.fixture
def follower(client: httpx.AsyncClient, clock: FakeClock) -> Follower:
    return Follower(client, clock, Sender(token="tok123"))


class TestRules:
    async def test_are_made_read_changed_and_deleted(self, api: Api) -> None:
        made = await api.made("/rules", rule("咖啡", priority=3))
        assert isinstance(made["id"], str)
        assert (made["version"], made["priority"], made["enabled"]) == (1, 3, True)
        assert (await api("GET", f"/rules/{made['id']}")).json() == made
        changed = await api("PUT", f"/rules/{made['id']}", rule("茶", version=1))
        assert changed.status_code == 200
        assert (changed.json()["words"], changed.json()["version"]) == (["茶"], 2)
        stale = await api("PUT", f"/rules/{made['id']}", rule("水", version=1))
        assert stale.status_code == 409
        assert stale.json()["error"]["code"] == "VERSION"
        assert stale.json()["error"]["details"] == {"current": 2}
        assert (await api("DELETE", f"/rules/{made['id']}?version=1")).status_code == 409
        gone = await api("DELETE", f"/rules/{made['id']}?version=2")
        assert (gone.status_code, gone.content) == (204, b"")
        for method, body in (("GET", None), ("PUT", rule("x", version=1)), ("DELETE", None)):
            assert (await api(method, f"/rules/{made['id']}", body)).status_code == 404

    async def test_are_listed_in_pages_and_searched(self, api: Api) -> None:
        for n in range(5):
            await api.made("/rules", rule(f"词{n}"))
        first = (await api("GET", "/rules?limit=3")).json()
        second = (await api("GET", f"/rules?limit=3&cursor={first['next']}")).json()
        words = [item["words"][0] for item in first["items"] + second["items"]]
        assert words == ["词4", "词3", "词2", "词1", "词0"]
        assert second["next"] is None
        found = (await api("GET", "/rules?q=词3")).json()
        assert [item["words"] for item in found["items"]] == [["词3"]]

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            (rule(), "words"),
            (rule("x", priority=1001), "priority"),
            (rule("x", answers=[]), "answers"),
            (rule("(", kind="pattern"), "words[0]"),
            (rule("x", answers=[[{"do": "fly"}]]), "answers[0][0].do"),
            (rule("x\x00"), "words"),
            (rule("x", surplus=1), "surplus"),
        ],
    )
    async def test_what_is_wrong_is_named(self, api: Api, body: object, field: str) -> None:
        response = await api("POST", "/rules", body)
        assert response.status_code == 422
        assert field in response.text

    @pytest.mark.parametrize(
        ("body", "chinese", "english"),
        [
            (
                rule("x", priority=1001),
                "请求格式有误：body.priority 不得大于 1000",
                "The request is not valid: body.priority Input should be less than or equal to 1000",
            ),
            (
                rule("x", answers=[say(" ")]),
                "answers[0][0].with.text：至少要有一个看得见的字符",
                "answers[0][0].with.text: at least one visible character is needed",
            ),
        ],
    )
    async def test_what_is_wrong_is_said_in_both_languages(
        self, api: Api, body: object, chinese: str, english: str
    ) -> None:
        for language, words in (("zh-CN", chinese), ("en", english)):
            answer = await api("POST", "/rules", body, **{"Accept-Language": language})
            assert answer.json()["error"]["message"] == words

    @pytest.mark.parametrize("path", ["/rules/abc", "/rules?cursor=x", "/rules?limit=0"])
    async def test_odd_addresses(self, api: Api, path: str) -> None:
        assert (await api("GET", path)).status_code == 422

    async def test_a_key_sent_twice_makes_one(self, api: Api) -> None:
        key = {"Idempotency-Key": "rule-0001"}
        first = await api("POST", "/rules", rule("咖啡"), **key)
        again = await api("POST", "/rules", rule("咖啡"), **key)
        assert again.json() == first.json()
        assert again.headers["Idempotent-Replayed"] == "true"
        assert len((await api("GET", "/rules")).json()["items"]) == 1

    async def test_readers_read_only(
        self, api: Api, bearer: Callable[..., Awaitable[dict[str, str]]]
    ) -> None:
        made = await api.made("/rules", rule("咖啡"))
        reader = Api(api.client, await bearer("read-only"))
        assert (await reader("GET", "/rules")).status_code == 200
        for method, path, body in (
            ("POST", "/rules", rule("x")),
            ("PUT", f"/rules/{made['id']}", rule("x", version=1)),
            ("DELETE", f"/rules/{made['id']}", None),
            ("DELETE", "/bindings/1", None),
            ("DELETE", "/flows/1", None),
        ):
            assert (await reader(method, path, body)).status_code == 403
        cashier = Api(api.client, await bearer("cashier"))
        assert (await cashier("GET", "/rules")).status_code == 403
        assert (await cashier("POST", "/dry-run", {"text": "x"})).status_code == 403
        assert (await cashier("GET", "/traces/w:m:1")).status_code == 403
        assert (await api.client.get(f"{ROOT}/rules")).status_code == 401

    async def test_the_actor_is_on_record(self, api: Api, runtime: Runtime) -> None:
        await api.made("/rules", rule("咖啡"))

        async def work(tx: Tx) -> Any:
            action = AuditRow.action == "replies.rule.created"
            return await tx.first(select(AuditRow.actor, AuditRow.request_id).where(action))

        row = await runtime.database.read(work)
        assert row.actor.startswith("token:")
        assert row.request_id


class TestBindings:
    async def test_are_made_read_changed_and_deleted(self, api: Api) -> None:
        body = {"on": "menu", "key": "today", "answers": [say("今日")]}
        made = await api.made("/bindings", body)
        assert (await api("GET", f"/bindings/{made['id']}")).json() == made
        again = await api("POST", "/bindings", body)
        assert (again.status_code, again.json()["error"]["code"]) == (409, "DUPLICATE_BINDING")
        changed = await api("PUT", f"/bindings/{made['id']}", body | {"on": "scan", "version": 1})
        assert changed.json()["on"] == "scan"
        assert (await api("GET", "/bindings?on=menu")).json()["items"] == []
        assert len((await api("GET", "/bindings?on=scan")).json()["items"]) == 1
        assert (await api("DELETE", f"/bindings/{made['id']}")).status_code == 204
        assert (await api("GET", f"/bindings/{made['id']}")).status_code == 404

    async def test_what_is_wrong_is_named(self, api: Api) -> None:
        body = {"on": "type", "key": "follow", "answers": [say("x")]}
        response = await api("POST", "/bindings", body)
        assert response.status_code == 422
        assert "key must be one of text, image" in response.text


class TestFlows:
    async def test_are_made_read_changed_and_deleted(self, api: Api) -> None:
        body = {"name": "点单", "plan": {"steps": [{"ask": "几杯？", "save_as": "count"}]}}
        made = await api.made("/flows", body)
        assert made["plan"] == {"steps": [{"ask": "几杯？", "save_as": "count"}], "finish": []}
        assert (await api("GET", f"/flows/{made['id']}")).json() == made
        lines = (await api("GET", f"/flows/{made['id']}/preview")).json()["lines"]
        assert lines[0].startswith("1. ")
        assert lines[-1].endswith("自动结束。")
        start = [[{"do": "start_flow", "with": {"flow": "点单"}}]]
        used = await api.made("/rules", rule("点单", name="入口", answers=start))
        refused = await api("DELETE", f"/flows/{made['id']}")
        assert refused.json()["error"]["code"] == "FLOW_IN_USE"
        await api("DELETE", f"/rules/{used['id']}")
        changed = await api("PUT", f"/flows/{made['id']}", body | {"name": "订", "version": 1})
        assert (changed.json()["name"], changed.json()["version"]) == ("订", 2)
        assert [f["name"] for f in (await api("GET", "/flows")).json()["items"]] == ["订"]
        assert (await api("DELETE", f"/flows/{made['id']}")).status_code == 204

    async def test_what_is_wrong_is_named(self, api: Api) -> None:
        response = await api("POST", "/flows", {"name": "点单", "plan": {"steps": [{"ask": "?"}]}})
        assert response.status_code == 422
        assert response.json()["error"]["details"]["field"] == "plan.steps[0].save_as"


class TestDryRun:
    async def test_a_text_which_rule_and_why(self, api: Api) -> None:
        tags = [{"do": "tag", "with": {"names": ["咖啡客"]}}]
        first = await api.made("/rules", rule("咖啡", answers=[say("一杯") + tags]))
        await api.made("/rules", rule("喝", name="喝的"))
        tried = (await api("POST", "/dry-run", {"text": "喝咖啡"})).json()
        assert tried["rule"] == {
            "rule_id": first["id"],
            "name": "规则",
            "kind": "contains",
            "word": "咖啡",
            "priority": 0,
        }
        assert tried["reason"] == "优先级和方式相同，「咖啡」比「喝」长"
        assert [hit["name"] for hit in tried["runners_up"]] == ["喝的"]
        message = {"kind": "text", "text": "一杯", "reply": {"kind": "text", "text": "一杯"}}
        assert tried["messages"] == [message]
        assert tried["effects"] == [{"kind": "tag", "name": "咖啡客"}]
        assert (tried["handler"], tried["missed"], tried["apart"]) == ("keywords.rule", False, None)

    async def test_an_event(self, api: Api) -> None:
        body = {"on": "menu", "key": "today", "answers": [say("今日")]}
        made = await api.made("/bindings", body)
        tried = (await api("POST", "/dry-run", {"event": {"on": "menu", "key": "today"}})).json()
        assert tried["binding_id"] == made["id"]
        assert tried["reason"] == "绑定「menu today」"
        assert tried["messages"][0]["text"] == "今日"
        await api.made("/bindings", {"on": "follow", "answers": [say("欢迎")]})
        tried = (await api("POST", "/dry-run", {"event": {"on": "follow"}})).json()
        assert tried["reason"] == "绑定「follow」"
        image = (await api("POST", "/dry-run", {"event": {"on": "type", "key": "image"}})).json()
        assert image["missed"]

    async def test_nobody_answers(self, api: Api) -> None:
        tried = (await api("POST", "/dry-run", {"text": "嗯"})).json()
        assert tried["missed"]
        assert tried["rule"] is None
        assert tried["reason"] == "没有规则或绑定匹配，由兜底回复"

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            ({"text": "咖啡"}, "only this rule matches"),
            ({"text": "嗯"}, "no rule or binding matches: the fallback answers"),
            ({"event": {"on": "menu", "key": "today"}}, "bound to “menu today”"),
            ({"event": {"on": "follow"}}, "bound to “follow”"),
        ],
    )
    async def test_the_reason_in_english(self, api: Api, body: dict[str, Any], reason: str) -> None:
        await api.made("/rules", rule("咖啡"))
        await api.made("/bindings", {"on": "menu", "key": "today", "answers": [say("今日")]})
        await api.made("/bindings", {"on": "follow", "answers": [say("欢迎")]})
        tried = await api("POST", "/dry-run", body, **{"Accept-Language": "en-GB"})
        assert tried.json()["reason"] == reason

    async def test_a_flow_that_would_begin(self, api: Api) -> None:
        plan = {"steps": [{"ask": "几杯？", "save_as": "count"}]}
        await api.made("/flows", {"name": "点单", "plan": plan})
        start = [[{"do": "start_flow", "with": {"flow": "点单"}}]]
        await api.made("/rules", rule("点单", answers=start))
        tried = (await api("POST", "/dry-run", {"text": "点单"})).json()
        assert (tried["flow"], tried["messages"][0]["text"]) == ("点单", "几杯？")

    async def test_agrees_with_the_delivery_of_that_key(self, api: Api, follower: Follower) -> None:
        await api.made("/rules", rule("咖啡", answers=[say(str(n)) for n in range(20)]))
        for number in range(5):
            answer = await follower.say("咖啡", 900 + number)
            key = f"w:m:{900 + number}"
            tried = (await api("POST", "/dry-run", {"text": "咖啡", "key": key})).json()
            assert f"<![CDATA[{tried['messages'][0]['text']}]]>" in answer

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"text": "x", "event": {"on": "follow"}},
            {"text": ""},
            {"event": {"on": "dance"}},
            {"event": {"on": "type", "key": "follow"}},
            {"event": {"on": "type"}},
        ],
    )
    async def test_neither_or_both(self, api: Api, body: object) -> None:
        assert (await api("POST", "/dry-run", body)).status_code == 422


class TestTraces:
    async def test_who_answered_a_past_delivery(self, api: Api, follower: Follower) -> None:
        made = await api.made("/rules", rule("咖啡"))
        assert "好的" in await follower.say("要咖啡", 77)
        await follower.say("别的", 78)
        trace = (await api("GET", "/traces/w:m:77")).json()
        assert trace["why"]["rule"] == made["id"]
        assert (trace["kind"], trace["text"], trace["answered"]) == ("text", "要咖啡", "passive")
        assert [said["text"] for said in trace["said"]] == ["好的"]
        assert trace["tries"] == 1
        assert trace["wx_created_at"] is not None
        assert trace["received_at"].startswith("2026-01-01T")

    async def test_a_silent_one(self, api: Api, follower: Follower, runtime: Runtime) -> None:
        assert await follower.do("unsubscribe") == ""

        async def work(tx: Tx) -> Any:
            return await tx.value(select(Message.receipt_key))

        key = await runtime.database.read(work)
        trace = (await api("GET", f"/traces/{key}")).json()
        assert (trace["answered"], trace["said"]) == ("empty", [])
        assert trace["why"]["silent"] == "unfollow"

    @pytest.mark.parametrize("key", ["w:m:1", "nonsense", "%00"])
    async def test_an_unknown_one(self, api: Api, key: str) -> None:
        assert (await api("GET", f"/traces/{key}")).status_code == 404

    async def test_another_account_s_is_as_unknown(
        self,
        api: Api,
        follower: Follower,
        account: Callable[..., Awaitable[AccountId]],
        bearer: Callable[..., Awaitable[dict[str, str]]],
    ) -> None:
        await follower.say("咖啡", 77)
        other = await account("other")
        stranger = Api(api.client, await bearer("admin", [other]))
        assert (await stranger("GET", "/traces/w:m:77")).status_code == 404
        assert (await stranger("GET", "/rules")).json()["items"] == []


class TestFollowers:
    """What a follower sees of all this."""

    async def test_a_change_answers_from_the_next_message_on(
        self, api: Api, follower: Follower
    ) -> None:
        made = await api.made("/rules", rule("咖啡"))
        assert "好的" in await follower.say("咖啡")
        await api("PUT", f"/rules/{made['id']}", rule("咖啡", answers=[say("新的")], version=1))
        assert "新的" in await follower.say("咖啡")
        await api("DELETE", f"/rules/{made['id']}")
        assert "新的" not in await follower.say("咖啡")

    async def test_a_dialogue_from_end_to_end(
        self, api: Api, follower: Follower, runtime: Runtime
    ) -> None:
        plan = {
            "steps": [
                {
                    "ask": "多大？",
                    "expect": "choice",
                    "choices": ["中杯", "大杯"],
                    "save_as": "size",
                },
                {"ask": "{size}几杯？", "expect": "number", "save_as": "count"},
            ],
            "finish": [
                {"do": "tag", "with": {"names": ["点过{size}"]}},
                *say("{count} 杯{size}，马上好。"),
            ],
        }
        await api.made("/flows", {"name": "点单", "plan": plan})
        start = [[{"do": "start_flow", "with": {"flow": "点单"}}]]
        await api.made("/bindings", {"on": "menu", "key": "order", "answers": start})
        assert "多大？\n1. 中杯\n2. 大杯" in await follower.do("CLICK", EventKey="order")
        assert "大杯几杯？" in await follower.say("2")
        assert "请回复一个数字" in await follower.say("好几杯")
        assert "3 杯大杯，马上好。" in await follower.say("三杯")
        assert "马上好" not in await follower.say("三杯")

        async def work(tx: Tx) -> Any:
            return await tx.value(select(Tag.name).join(FollowerTag, FollowerTag.tag_id == Tag.id))

        assert await runtime.database.read(work) == "点过大杯"

    async def test_misses_are_counted_until_somebody_answers(
        self, api: Api, follower: Follower
    ) -> None:
        await api.made("/rules", rule("咖啡"))
        assert "010-12345678" not in await follower.say("嗯")
        assert "010-12345678" in await follower.say("嗯嗯")
        await follower.say("咖啡")
        assert "010-12345678" not in await follower.say("嗯")
