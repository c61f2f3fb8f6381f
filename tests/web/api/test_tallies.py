"""What was counted, as staff read it."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import select

from app.core.clock import FakeClock
from app.core.ids import AccountId
from app.db import tx as tx_module
from app.db.audit import AuditRow
from app.db.tx import Tx
from app.engines.replies.tallies import digest_of
from app.runtime import Runtime
from tests.web.api.test_replies import Api, Follower, api, follower, rule, say

__all__ = ["api", "follower"]
PLAN = {"steps": [{"ask": "几位？", "save_as": "size"}]}
UNTIL = "counted_until"


@contextmanager
def queries_of(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The statements of every transaction meanwhile."""
    seen: list[str] = []
    for kind in (tx_module.SqliteTx, tx_module.PostgresTx):
        real = kind.all

        async def counted(self: Any, statement: Any, params: Any = None, real: Any = real) -> Any:
            seen.append(str(statement))
            return await real(self, statement, params)

        monkeypatch.setattr(kind, "all", counted)
    yield seen
    monkeypatch.undo()


async def test_hits_stand_beside_what_answered(
    api: Api, follower: Follower, runtime: Runtime, clock: FakeClock
) -> None:
    flow = await api.made("/flows", {"name": "订位", "plan": PLAN})
    assert (flow["hits"], flow["hits_7d"], flow["last_hit_at"]) == (0, 0, None)
    start = [[{"do": "start_flow", "with": {"flow": "订位"}}]]
    booking = await api.made("/rules", rule("订位", answers=start))
    coffee = await api.made("/rules", rule("咖啡"))
    tap = await api.made("/bindings", {"on": "menu", "key": "today", "answers": [say("今日")]})
    for words in ("咖啡", "来杯咖啡", "订位", "三位"):
        await follower.say(words)
    await follower.do("CLICK", EventKey="today")
    await runtime.tallying.catch_up()
    rules = {r["id"]: r for r in (await api("GET", "/rules")).json()["items"]}
    assert (rules[coffee["id"]]["hits"], rules[booking["id"]]["hits"]) == (2, 1)
    assert rules[coffee["id"]]["hits_7d"] == 2
    assert rules[coffee["id"]]["last_hit_at"].startswith("2026-01-01T04:00")
    for path in (f"/rules/{booking['id']}", f"/bindings/{tap['id']}", f"/flows/{flow['id']}"):
        assert (await api("GET", path)).json()["hits"] == 1, path
    (bound,) = (await api("GET", "/bindings")).json()["items"]
    (dialogue,) = (await api("GET", "/flows")).json()["items"]
    assert (bound["hits"], dialogue["hits"]) == (1, 1)
    changed = await api("PUT", f"/rules/{coffee['id']}", rule("咖啡", priority=1, version=1))
    assert changed.json()["hits"] == 2
    clock.advance(days=7)
    later = (await api("GET", f"/rules/{coffee['id']}")).json()
    assert (later["hits"], later["hits_7d"]) == (2, 0)


async def test_a_page_takes_one_statement_for_all_its_hits(
    api: Api, follower: Follower, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    for number in range(12):
        await api.made("/rules", rule(f"词{number}"))
        if number in (1, 11):
            with queries_of(runtime, monkeypatch) as seen:
                await api("GET", "/rules?limit=50")
            counts.append(
                [sum(table in one for one in seen) for table in ("FROM rp_rule", "FROM rp_tally")]
            )
    assert counts == [[1, 1], [1, 1]]


async def test_hits_by_day(
    api: Api, follower: Follower, runtime: Runtime, clock: FakeClock
) -> None:
    assert (await api("GET", "/tallies")).json() == {"items": [], UNTIL: None}
    coffee = await api.made("/rules", rule("咖啡"))
    await api.made("/rules", rule("茶"))
    for words in ("咖啡", "咖啡", "茶"):
        await follower.say(words)
    await runtime.tallying.catch_up()
    found = (await api("GET", "/tallies")).json()
    day = {"day": "2026-01-01", "what": "rule", "last_hit_at": "2026-01-01T04:00:00Z"}
    assert found["items"] == [{**day, "hits": 3}]
    assert found[UNTIL] == "2026-01-01T04:00:00Z"
    one = (await api("GET", f"/tallies?what=rule&id={coffee['id']}")).json()
    assert one["items"] == [{**day, "hits": 2}]
    for query in ("what=flow", "to=2025-12-31", "from=2026-01-02", f"what=flow&id={coffee['id']}"):
        assert (await api("GET", f"/tallies?{query}")).json()["items"] == [], query


@pytest.mark.parametrize(
    "query",
    ["id=5", "what=tap", "from=x", "from=2020-01-01&to=2026-01-01", "what=rule&id=abc"],
)
async def test_odd_questions_are_refused(api: Api, query: str) -> None:
    assert (await api("GET", f"/tallies?{query}")).status_code == 422


async def test_misses_are_listed_put_aside_and_recognised_once_answered(
    api: Api, follower: Follower, runtime: Runtime, clock: FakeClock
) -> None:
    for words in ("有猫吗", "ＷＩＦＩ？", "wifi?", "嗯"):
        await follower.say(words)
    await runtime.tallying.catch_up()
    found = (await api("GET", "/misses")).json()
    assert [m["times"] for m in found["items"]] == [2, 1, 1]
    assert found[UNTIL] == "2026-01-01T04:00:00Z"
    first = found["items"][0]
    assert (first["example"], first["dismissed"], first["answered_now"]) == ("wifi?", False, False)
    await api.made("/rules", rule("wifi"))
    page = (await api("GET", "/misses?limit=1")).json()
    assert page["items"][0]["answered_now"]
    rest = (await api("GET", f"/misses?limit=5&cursor={page['next']}")).json()
    assert {m["text"] for m in rest["items"]} == {"有猫吗", "嗯"}
    assert rest["next"] is None

    for _ in range(2):
        assert (await api("DELETE", f"/misses/{first['digest']}")).status_code == 204
    left = (await api("GET", "/misses")).json()["items"]
    assert {m["text"] for m in left} == {"有猫吗", "嗯"}
    (aside,) = (await api("GET", "/misses?dismissed=true")).json()["items"]
    assert (aside["digest"], aside["dismissed"]) == (first["digest"], True)

    async def audited(tx: Tx) -> Any:
        return await tx.all(select(AuditRow.action, AuditRow.target, AuditRow.before))

    rows = [r for r in await runtime.database.read(audited) if r.action == "replies.miss.dismissed"]
    assert len(rows) == 1
    assert rows[0].target == f"miss:{first['digest']}"
    assert rows[0].before["times"] == 2


async def test_who_may(
    api: Api,
    follower: Follower,
    runtime: Runtime,
    bearer: Callable[..., Awaitable[dict[str, str]]],
    account: Callable[..., Awaitable[AccountId]],
) -> None:
    await follower.say("有猫吗")
    await runtime.tallying.catch_up()
    digest = digest_of("有猫吗")
    assert (await api("DELETE", "/misses/xyz")).status_code == 422
    reader = Api(api.client, await bearer("read-only"))
    assert (await reader("GET", "/misses")).status_code == 200
    assert (await reader("DELETE", f"/misses/{digest}")).status_code == 403
    cashier = Api(api.client, await bearer("cashier"))
    for path in ("/misses", "/tallies"):
        assert (await cashier("GET", path)).status_code == 403
    stranger = Api(api.client, await bearer("admin", [await account("other")]))
    assert (await stranger("GET", "/misses")).json()["items"] == []
    assert (await stranger("DELETE", f"/misses/{digest}")).status_code == 404
