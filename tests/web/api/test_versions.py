"""Versions, files and rollbacks as integrations and marketers meet them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import pytest
import yaml

from app.core.ids import AccountId
from app.web.middleware import API_BODY_BYTES, IMPORT_BODY_BYTES

ROOT = "/api/v1/replies"
RULE = {
    "name": "咖啡",
    "kind": "exact",
    "words": ["拿铁"],
    "answers": [[{"do": "reply", "with": {"kind": "text", "text": "好的"}}]],
}
BOOK = b"""
guanxi: 1
rules:
  - name: \xe5\x92\x96\xe5\x95\xa1
    kind: exact
    words: [\xe6\x8b\xbf\xe9\x93\x81]
    answers:
      - - do: reply
          with: {kind: text, text: \xe5\xa5\xbd\xe7\x9a\x84}
bindings:
  - on: menu
    key: a
    answers: [[{do: reply, with: {kind: text, text: x}}]]
"""


@dataclass
class Api:
    client: httpx.AsyncClient
    headers: dict[str, str]

    async def __call__(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> httpx.Response:
        given: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
        return await self.client.request(
            method, ROOT + path, headers={**self.headers, **headers}, **given
        )

    async def found(self, path: str) -> Any:
        response = await self("GET", path)
        assert response.status_code == 200, response.text
        return response.json()

    async def took(self, path: str, body: object = None) -> Any:
        response = await self("POST", path, body)
        assert response.status_code == 200, response.text
        return response.json()


@pytest.fixture
async def api(
    client: httpx.AsyncClient,
    bearer: Callable[..., Awaitable[dict[str, str]]],
    account: Callable[..., Awaitable[AccountId]],
) -> Api:
    await account("cafe")
    return Api(client, await bearer("marketer"))


async def refusal(answer: Awaitable[httpx.Response], status: int) -> dict[str, Any]:
    response = await answer
    assert response.status_code == status, response.text
    found: dict[str, Any] = response.json()["error"]
    return found


class TestFile:
    async def test_is_planned_then_applied_as_planned(self, api: Api) -> None:
        planned = await api.took("/import?plan=true", BOOK)
        assert (planned["applied"], planned["version"]) == (False, 0)
        assert planned["counts"] == {"added": 2, "changed": 0, "removed": 0, "unchanged": 0}
        assert (await api.found("/rules"))["items"] == []
        done = await api.took("/import?expect=0&note=%E5%8D%81%E6%9C%88", BOOK)
        assert (done["applied"], done["version"]) == (True, 1)
        assert done["changes"] == planned["changes"]
        assert [one["name"] for one in (await api.found("/rules"))["items"]] == ["咖啡"]
        (version,) = (await api.found("/versions"))["items"]
        assert (version["source"], version["note"]) == ("import", "十月")
        tried = await api("POST", "/dry-run", {"text": "拿铁"})
        assert tried.json()["messages"][0]["text"] == "好的"

    @pytest.mark.parametrize("form", ["yaml", "json"])
    async def test_comes_out_as_it_went_in(self, api: Api, form: str) -> None:
        await api.took("/import", BOOK)
        response = await api("GET", f"/export?format={form}")
        assert response.headers["content-type"].startswith(f"application/{form}")
        assert response.headers["x-book-version"] == "1"
        assert response.headers["content-disposition"] == (
            f'attachment; filename="cafe-replies-1.{form}"'
        )
        read = yaml.safe_load if form == "yaml" else orjson.loads
        assert read(response.content)["rules"][0]["words"] == ["拿铁"]
        again = await api.took("/import?mode=replace", response.content)
        assert again["version"] == 1
        assert again["counts"] == {"added": 0, "changed": 0, "removed": 0, "unchanged": 2}

    async def test_with_mistakes_changes_nothing_and_names_all(self, api: Api) -> None:
        raw = BOOK.replace(b"kind: exact", b"kind: fuzzy").replace(b"on: menu", b"on: nowhere")
        error = await refusal(api("POST", "/import", raw, **{"Accept-Language": "zh"}), 422)
        assert error["code"] == "MISTAKES"
        assert error["details"]["count"] == 2
        assert error["message"].startswith(
            "文件有 2 处错误，未作任何更改。第一处：5: rules[0].kind"
        )
        assert [
            (one["place"], one["line"], one["chinese"][:4]) for one in error["details"]["mistakes"]
        ] == [("rules[0].kind", 5, "只能是 "), ("bindings[0].on", 11, "只能是 ")]
        assert (await api.found("/versions"))["items"] == []

    async def test_of_an_older_book_is_refused(self, api: Api) -> None:
        await api.took("/import", BOOK)
        error = await refusal(api("POST", "/import?expect=0", BOOK), 409)
        assert (error["code"], error["details"]) == ("VERSION", {"current": 1})
        error = await refusal(api("POST", "/import?expect=0&plan=true", BOOK), 409)
        assert error["code"] == "VERSION"

    async def test_is_taken_once_for_a_key(self, api: Api) -> None:
        key = {"Idempotency-Key": "import-of-october"}
        first = await api("POST", "/import?expect=0", BOOK, **key)
        again = await api("POST", "/import?expect=0", BOOK, **key)
        assert (again.status_code, again.json()) == (200, first.json())
        assert again.headers["idempotent-replayed"] == "true"
        assert [one["version"] for one in (await api.found("/versions"))["items"]] == [1]
        other = await api("POST", "/import?expect=0", BOOK + b"flows: []\n", **key)
        assert other.json()["error"]["code"] == "IDEMPOTENCY_MISMATCH"

    async def test_may_be_twice_as_big_as_other_calls(self, api: Api) -> None:
        room = b"#" * (API_BODY_BYTES + 1)
        assert (await api.took("/import?plan=true", BOOK + room))["counts"]["added"] == 2
        assert (await api("POST", "/rules", room)).status_code == 413
        full = BOOK + b"#" * (IMPORT_BODY_BYTES - len(BOOK))
        assert (await api("POST", "/import?plan=true", full)).status_code == 200
        assert (await api("POST", "/import?plan=true", full + b"#")).status_code == 413

    async def test_of_more_than_a_thousand_changes_is_shown_in_part(self, api: Api) -> None:
        rules = [{**RULE, "name": f"规则{n}"} for n in range(1001)]
        done = await api.took("/import", orjson.dumps({"guanxi": 1, "rules": rules}))
        assert done["counts"]["added"] == 1001
        assert len(done["changes"]) == 1000
        page = await api.found("/versions/1?limit=1000")
        assert (len(page["changes"]), page["next"]) == (1000, 1000)
        rest = await api.found("/versions/1?offset=1000")
        assert ([one["name"] for one in rest["changes"]], rest["next"]) == (["规则1000"], None)


class TestVersions:
    async def test_name_who_changed_what(self, api: Api) -> None:
        made = (await api("POST", "/rules", RULE)).json()
        changed = {**RULE, "words": ["美式"], "version": 1}
        await api("PUT", f"/rules/{made['id']}", changed)
        listed = await api.found("/versions?limit=1")
        assert [one["version"] for one in listed["items"]] == [2]
        assert listed["items"][0]["actor"].startswith("token:")
        listed = await api.found(f"/versions?cursor={listed['next']}")
        assert ([one["version"] for one in listed["items"]], listed["next"]) == ([1], None)
        found = await api.found("/versions/2")
        assert found["counts"] == {"added": 0, "changed": 1, "removed": 0}
        assert found["changes"] == [
            {
                "what": "rule",
                "change": "changed",
                "id": made["id"],
                "name": "咖啡",
                "fields": [{"field": "words[0]", "before": "拿铁", "after": "美式"}],
            }
        ]

    async def test_are_compared_either_way(self, api: Api) -> None:
        await api.took("/import", BOOK)
        await api.took("/import?mode=replace", orjson.dumps({"guanxi": 1, "rules": [RULE]}))
        forth = await api.found("/versions/1/diff/2")
        assert [(one["change"], one["name"]) for one in forth["changes"]] == [("removed", "menu a")]
        back = await api.found("/versions/2/diff/1")
        assert [(one["change"], one["name"]) for one in back["changes"]] == [("added", "menu a")]
        assert (await api.found("/versions/0/diff/2"))["counts"]["added"] == 1
        assert (await api.found("/versions/2/diff/2"))["changes"] == []

    async def test_are_rolled_back_to(self, api: Api) -> None:
        made = (await api("POST", "/rules", RULE)).json()
        await api("DELETE", f"/rules/{made['id']}")
        planned = await api.took("/versions/1/rollback?plan=true")
        assert [(one["change"], one["id"]) for one in planned["changes"]] == [("added", made["id"])]
        done = await api.took("/versions/1/rollback?expect=2")
        assert (done["applied"], done["version"]) == (True, 3)
        assert done["changes"] == planned["changes"]
        assert (await api.found(f"/rules/{made['id']}"))["words"] == ["拿铁"]
        (version, *_) = (await api.found("/versions"))["items"]
        assert (version["source"], version["note"]) == ("rollback", "→ 1")
        tried = await api("POST", "/dry-run", {"text": "拿铁"})
        assert tried.json()["rule"]["rule_id"] == made["id"]

    async def test_the_second_of_two_editors_is_told(self, api: Api) -> None:
        await api.took("/import", BOOK)
        await api("POST", "/rules", RULE)
        error = await refusal(api("POST", "/versions/0/rollback?expect=1"), 409)
        assert (error["code"], error["details"]) == ("VERSION", {"current": 2})

    async def test_that_never_were_are_not_found(self, api: Api) -> None:
        await api("POST", "/rules", RULE)
        for path in ("/versions/2", "/versions/0", "/versions/1/diff/9"):
            error = await refusal(api("GET", path), 404)
            assert error["code"] == "NO_SUCH_VERSION"
        error = await refusal(api("POST", "/versions/9/rollback"), 404)
        assert error["details"] == {"version": 9, "current": 1}


class TestRights:
    async def test_readers_read_and_change_nothing(
        self, api: Api, bearer: Callable[..., Awaitable[dict[str, str]]]
    ) -> None:
        await api.took("/import", BOOK)
        reader = Api(api.client, await bearer("read-only"))
        for path in ("/export", "/versions", "/versions/1", "/versions/0/diff/1"):
            assert (await reader("GET", path)).status_code == 200
        for path in ("/import", "/import?plan=true", "/versions/0/rollback"):
            assert (await refusal(reader("POST", path, BOOK), 403))["code"] == "NOT_ALLOWED"

    async def test_another_account_s_book_is_not_seen(
        self,
        api: Api,
        account: Callable[..., Awaitable[AccountId]],
        bearer: Callable[..., Awaitable[dict[str, str]]],
    ) -> None:
        await api.took("/import", BOOK)
        other = await account("tea")
        theirs = Api(api.client, await bearer("owner", [other]))
        assert (await theirs.found("/versions"))["items"] == []
        assert (await refusal(theirs("GET", "/versions/1"), 404))["code"] == "NO_SUCH_VERSION"
        assert (await theirs("GET", "/export")).headers["x-book-version"] == "0"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/versions?cursor=9999999999999999999", 422),
        ("/versions?cursor=9223372036854775807", 200),
        ("/versions/4611686018427387904", 404),
        ("/rules/9999999999999999999", 422),
        ("/rules/9223372036854775807", 404),
    ],
)
async def test_numbers_beyond_any_version_are_answered(api: Api, path: str, status: int) -> None:
    assert (await api("GET", path)).status_code == status


async def test_a_note_may_not_hold_what_cannot_be_stored(api: Api) -> None:
    assert (await refusal(api("POST", "/import?note=%00", BOOK), 422))["code"] == "BAD_REQUEST"
    assert (await refusal(api("POST", f"/import?note={'x' * 201}", BOOK), 422))["code"]


@pytest.mark.parametrize("version", [2**31, 10**30])
async def test_a_version_larger_than_any_is_refused(api: Api, version: int) -> None:
    made = (await api("POST", "/rules", RULE)).json()
    path = f"/rules/{made['id']}"
    await refusal(api("PUT", path, {**RULE, "version": version}), 422)
    await refusal(api("DELETE", f"{path}?version={version}"), 422)
    await refusal(api("PUT", "/settings", {"version": 10**30}), 422)


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+08:00"])
async def test_a_dry_run_at_the_end_of_days_is_refused(api: Api, at: str) -> None:
    hours = {"daily": [["22:00", "02:00"]]}
    assert (await api("POST", "/rules", {**RULE, "hours": hours})).status_code == 201
    found = await refusal(api("POST", "/dry-run", {"text": "拿铁", "at": at}), 422)
    assert found["code"] == "BAD_REQUEST"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/rules", b'{"name": "\\ud800", "kind": "exact", "words": ["a"], "answers": [[]]}'),
        ("/dry-run", b'{"text": "\\ud800"}'),
        ("/dry-run", b'{"text": "a", "key": "\\udfff"}'),
    ],
)
async def test_half_a_character_is_refused(api: Api, path: str, body: bytes) -> None:
    found = await refusal(api("POST", path, body, **{"content-type": "application/json"}), 422)
    assert found["code"] == "BAD_REQUEST"
