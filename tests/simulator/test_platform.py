"""Menus, customer messages, followers, media and codes as an account's server calls for them."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.simulator import samples
from app.simulator.platform.routes import names
from tests.simulator.bot import Mailbox
from tests.simulator.conftest import PhoneClient, Platform, Sim

MakePlatform = Callable[..., Awaitable[Platform]]
CLICK = {"type": "click", "name": "今日", "key": "K"}


def code(answer: dict[str, Any]) -> int:
    found: int = answer.get("errcode", 0)
    return found


class TestManners:
    async def test_wrong_method_and_unknown_path(self, platform: MakePlatform) -> None:
        made = await platform()
        assert code(await made.call("POST", "menu/get")) == 43001
        assert code(await made.call("GET", "menu/create")) == 43002
        assert code(await made.call("GET", "no/such/thing")) == 40066

    @pytest.mark.parametrize(
        ("body", "errcode"), [(b"", 44002), (b"{", 47001), (b"[]", 47001), (b"\xff", 47001)]
    )
    async def test_bad_bodies(self, platform: MakePlatform, body: bytes, errcode: int) -> None:
        made = await platform()
        answer = await made.raw("POST", "message/custom/send", body or None)
        assert code(answer.json()) == errcode

    async def test_who_may_what(self, platform: MakePlatform) -> None:
        """The table of protocol reference 5: unverified and verified, subscription and service."""
        calls = {
            "menu/create": ("POST", {"button": [CLICK]}),
            "message/custom/send": ("POST", {"touser": "x", "msgtype": "text"}),
            "user/get": ("GET", None),
            "qrcode/create": ("POST", {"action_name": "QR_LIMIT_SCENE"}),
            "media/get": ("GET", None),
            "getcallbackip": ("GET", None),
        }
        refused = {}
        for kind in ("subscription", "service"):
            for verified in (False, True):
                made = await platform(kind=kind, verified=verified)
                refused[kind, verified] = {
                    name
                    for name, (method, body) in calls.items()
                    if code(await made.call(method, name, body)) == 48001
                }
        everything_but_basic = set(calls) - {"getcallbackip"}
        assert refused == {
            ("subscription", False): everything_but_basic,
            ("subscription", True): {"qrcode/create"},
            ("service", False): everything_but_basic - {"menu/create"},
            ("service", True): set(),
        }

    async def test_daily_quota_and_reset(self, platform: MakePlatform, sim: Sim) -> None:
        made = await platform()
        for _ in range(500):
            assert code(await made.call("GET", "user/get")) == 0
        assert code(await made.call("GET", "user/get")) == 45009
        asked = {"cgi_path": "/cgi-bin/user/get"}
        quota = (await made.call("POST", "openapi/quota/get", asked))["quota"]
        assert quota == {"daily_limit": 500, "used": 500, "remain": 0}
        appid = {"appid": made.account["appid"]}
        for _ in range(10):
            assert code(await made.call("POST", "clear_quota", appid)) == 0
        assert code(await made.call("POST", "clear_quota", appid)) == 48006
        assert code(await made.call("GET", "user/get")) == 0

    async def test_the_day_is_beijings(self, platform: MakePlatform, sim: Sim) -> None:
        made = await platform()  # 2026-01-01 12:00 in Beijing
        await made.call("GET", "user/get")
        await sim.api("POST", "time", {"advance_seconds": 12 * 3600 - 1})
        made.token = await made.get_token()
        asked = {"cgi_path": "/cgi-bin/user/get"}
        assert (await made.call("POST", "openapi/quota/get", asked))["quota"]["used"] == 1
        await sim.api("POST", "time", {"advance_seconds": 1})
        assert (await made.call("POST", "openapi/quota/get", asked))["quota"]["used"] == 0


class TestMenus:
    @pytest.mark.parametrize(
        ("buttons", "errcode"),
        [
            ([], 40016),
            ([CLICK] * 4, 40016),
            (None, 40016),
            ([{**CLICK, "type": "tickle"}], 40017),
            ([{**CLICK, "name": ""}], 40018),
            ([{**CLICK, "name": "六个汉字太长"}], 40018),
            ([{**CLICK, "key": ""}], 40019),
            ([{**CLICK, "key": "k" * 129}], 40019),
            ([{"type": "view", "name": "a", "url": "https://e.com/" + "u" * 1024}], 40020),
            ([{"type": "view", "name": "a"}], 40020),
            ([{"name": "a", "sub_button": [CLICK] * 6}], 40023),
            ([{"name": "a", "sub_button": [{"name": "b", "sub_button": [CLICK]}]}], 40023),
            ([{"name": "a", "sub_button": [{**CLICK, "name": "好" * 21}]}], 40025),
            ([{"name": "a", "sub_button": [{**CLICK, "key": "k" * 129}]}], 40026),
            ([{"name": "a", "sub_button": [{"type": "view", "name": "b", "url": ""}]}], 40027),
            ([{"type": "media_id", "name": "a", "media_id": "none"}], 40007),
        ],
    )
    async def test_refusals(self, platform: MakePlatform, buttons: Any, errcode: int) -> None:
        made = await platform()
        assert code(await made.call("POST", "menu/create", {"button": buttons})) == errcode
        assert code(await made.call("GET", "menu/get")) == 46003

    async def test_longest_that_pass(self, platform: MakePlatform) -> None:
        made = await platform()
        sub = {"type": "click", "name": "好" * 20, "key": "k" * 128}
        buttons = [{"name": "五个汉字长", "sub_button": [sub] * 5}] * 3
        assert code(await made.call("POST", "menu/create", {"button": buttons})) == 0

    async def test_create_get_delete(self, platform: MakePlatform, sim: Sim) -> None:
        made = await platform()
        phone = await sim.phone(made.account)
        assert (await phone.screen())["menu"] is None
        assert (await made.call("GET", "get_current_selfmenu_info"))["is_menu_open"] == 0
        buttons = [CLICK, {"name": "更多", "sub_button": [{**CLICK, "key": "L"}]}]
        await made.call("POST", "menu/create", {"button": buttons})
        menu = (await made.call("GET", "menu/get"))["menu"]
        assert menu["button"][0] == {**CLICK, "sub_button": []}
        assert (await phone.screen())["menu"]["button"] == menu["button"]
        current = await made.call("GET", "get_current_selfmenu_info")
        assert current["selfmenu_info"]["button"][1]["sub_button"] == {
            "list": [{**CLICK, "key": "L"}]
        }
        await made.call("GET", "menu/delete")
        assert code(await made.call("GET", "menu/get")) == 46003

    async def test_escaped_chinese_is_refused(self, platform: MakePlatform) -> None:
        made = await platform()
        body = json.dumps({"button": [CLICK]}).encode()  # \uXXXX, as json.dumps does unasked
        assert code((await made.raw("POST", "menu/create", body)).json()) == 40033

    async def test_conditional_menus(self, platform: MakePlatform, sim: Sim) -> None:
        made = await platform()
        vip = {"button": [{**CLICK, "key": "VIP"}], "matchrule": {"tag_id": "100"}}
        assert code(await made.call("POST", "menu/addconditional", vip)) == 65303
        await made.call("POST", "menu/create", {"button": [CLICK]})
        for rule, errcode in (({}, 65304), ({"sex": "1"}, 65320)):
            body = {**vip, "matchrule": rule}
            assert code(await made.call("POST", "menu/addconditional", body)) == errcode
        menu_id = (await made.call("POST", "menu/addconditional", vip))["menuid"]
        phone = await sim.phone(made.account, tags=[7, 100])
        other = await sim.phone(made.account, tags=[100, 7])

        async def key(phone: PhoneClient) -> str:
            asked = await made.call("POST", "menu/trymatch", {"user_id": phone.openid})
            screen = await phone.screen()
            assert asked["button"] == screen["menu"]["button"]
            found: str = asked["button"][0]["key"]
            return found

        assert (await key(phone), await key(other)) == ("VIP", "K")
        assert len((await made.call("GET", "menu/get"))["conditionalmenu"]) == 1
        assert code(await made.call("POST", "menu/delconditional", {"menuid": "1"})) == 65301
        assert code(await made.call("POST", "menu/delconditional", {"menuid": menu_id})) == 0
        assert await key(phone) == "K"
        assert code(await made.call("POST", "menu/trymatch", {"user_id": "x"})) == 65302

    async def test_a_phone_keeps_its_menu_for_five_minutes(
        self, platform: MakePlatform, sim: Sim
    ) -> None:
        made = await platform(menu_cache_seconds=300)
        phone = await sim.phone(made.account)
        await made.call("POST", "menu/create", {"button": [CLICK]})
        assert (await phone.screen())["menu"]["button"][0]["key"] == "K"
        await made.call("POST", "menu/create", {"button": [{**CLICK, "key": "NEW"}]})
        assert (await phone.screen())["menu"]["button"][0]["key"] == "K"
        sim.clock.advance(seconds=301)
        assert (await phone.screen())["menu"]["button"][0]["key"] == "NEW"


class TestCustomerMessages:
    async def send(
        self, made: Platform, phone: PhoneClient, kind: str = "text", **part: Any
    ) -> int:
        part = part or {"content": "在的"}
        body = {"touser": phone.openid, "msgtype": kind, kind: part}
        return code(await made.call("POST", "message/custom/send", body))

    async def test_five_after_a_message_within_two_days(
        self, platform: MakePlatform, sim: Sim
    ) -> None:
        made = await platform()
        phone = await sim.phone(made.account)
        assert await self.send(made, phone) == 45015
        await phone.do("text", text="在吗")
        assert [await self.send(made, phone) for _ in range(6)] == [0] * 5 + [45047]
        await phone.do("text", text="还在吗")
        assert await self.send(made, phone) == 0
        sim.clock.advance(hours=47, minutes=59)
        made.token = await made.get_token()
        assert await self.send(made, phone) == 0
        sim.clock.advance(minutes=1)
        assert await self.send(made, phone) == 45015
        items = await phone.items()
        assert [item["text"] for item in items if item["from"] == "account"] == ["在的"] * 7
        assert all(item["send"] for item in items if item["from"] == "account")

    @pytest.mark.parametrize("how", ["menu", "scan", "follow"])
    async def test_three_within_a_minute(self, platform: MakePlatform, sim: Sim, how: str) -> None:
        made = await platform()
        phone = await sim.phone(made.account, following=how != "follow")
        action: dict[str, Any] = {
            "menu": {"type": "click", "key": "K"},
            "scan": {"scene": "s"},
            "follow": {},
        }[how]
        await phone.do(how, **action)
        assert [await self.send(made, phone) for _ in range(4)] == [0, 0, 0, 45047]
        sim.clock.advance(seconds=60)
        assert await self.send(made, phone) == 45015

    async def test_the_grant_that_ends_first_is_spent_first(
        self, platform: MakePlatform, sim: Sim
    ) -> None:
        made = await platform()
        phone = await sim.phone(made.account)
        await phone.do("text", text="在吗")
        await phone.do("menu", type="click", key="K")
        assert [await self.send(made, phone) for _ in range(2)] == [0, 0]
        left = {grant["kind"]: grant["left"] for grant in (await phone.screen())["windows"]}
        assert left == {"menu": 1, "message": 5}

    async def test_a_passive_answer_costs_nothing(
        self, platform: MakePlatform, sim: Sim, mailbox: Mailbox
    ) -> None:
        made = await platform(url=mailbox.url)
        phone = await sim.phone(made.account)
        delivery = await phone.do("text", text="在吗")
        assert delivery["state"] == "shown"
        assert (await phone.screen())["windows"][0]["left"] == 5

    async def test_who_cannot_be_reached(self, platform: MakePlatform, sim: Sim) -> None:
        made, other = await platform(), await platform()
        phone = await sim.phone(made.account, following=False)
        assert await self.send(made, phone) == 43004
        assert await self.send(other, phone) == 40003

    async def test_every_kind_is_shown(self, platform: MakePlatform, sim: Sim) -> None:
        made = await platform()
        phone = await sim.phone(made.account)
        media = made_media(sim, made)
        image, voice, video = [await media(kind) for kind in ("image", "voice", "video")]
        wanted: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
            ("text", {"content": "a\r\nb"}, {"kind": "text", "text": "a\nb"}),
            ("image", {"media_id": image}, {"kind": "image", "media_id": image}),
            ("voice", {"media_id": voice}, {"kind": "voice", "media_id": voice}),
            (
                "video",
                {"media_id": video, "thumb_media_id": image, "title": "t"},
                {"kind": "video", "media_id": video, "title": "t"},
            ),
            (
                "music",
                {"thumb_media_id": image, "title": "t", "musicurl": "https://m"},
                {"kind": "music", "url": "https://m"},
            ),
            (
                "news",
                {"articles": [{"title": "t", "url": "https://u", "picurl": "https://p"}]},
                {"kind": "news"},
            ),
            (
                "msgmenu",
                {"head_content": "?", "list": [{"id": "1", "content": "好"}], "tail_content": "."},
                {"kind": "menu", "options": [{"id": "1", "text": "好"}]},
            ),
            ("mpnewsarticle", {"article_id": "A1"}, {"kind": "article", "article_id": "A1"}),
            (
                "miniprogrampage",
                {"title": "t", "appid": "wx1", "pagepath": "p", "thumb_media_id": image},
                {"kind": "miniprogram", "path": "p"},
            ),
        ]
        for kind, part, shown in wanted:
            await phone.do("text", text="?")
            assert await self.send(made, phone, kind, **part) == 0, kind
            last = (await phone.items())[-1]
            assert {name: last[name] for name in shown} == shown

    @pytest.mark.parametrize(
        ("kind", "part", "errcode"),
        [
            ("text", {"content": ""}, 44004),
            ("text", {"content": "好" * 683}, 45002),
            ("image", {"media_id": "none"}, 40007),
            ("voice", {"x": 1}, 40007),
            ("news", {"articles": []}, 44003),
            ("news", {"articles": [{}, {}]}, 45008),
            ("msgmenu", {"list": []}, 44004),
            ("msgmenu", {"list": [{"id": "1"}]}, 40035),
            ("wxcard", {"card_id": "c"}, 48001),
            ("link", {"title": "t"}, 48008),
            ("sticker", {"x": 1}, 40008),
        ],
    )
    async def test_refusals_spend_nothing(
        self, platform: MakePlatform, sim: Sim, kind: str, part: dict[str, Any], errcode: int
    ) -> None:
        made = await platform()
        phone = await sim.phone(made.account)
        await phone.do("text", text="?")
        assert await self.send(made, phone, kind, **part) == errcode
        screen = await phone.screen()
        assert screen["windows"][0]["left"] == 5
        assert len(screen["items"]) == 1

    async def test_no_message_menus_from_subscription_accounts(
        self, platform: MakePlatform, sim: Sim
    ) -> None:
        made = await platform(kind="subscription")
        phone = await sim.phone(made.account)
        part = {"list": [{"id": "1", "content": "好"}]}
        assert await self.send(made, phone, "msgmenu", **part) == 40200

    async def test_escaped_chinese_is_shown_as_it_stands(
        self, platform: MakePlatform, sim: Sim
    ) -> None:
        made = await platform()
        phone = await sim.phone(made.account)
        await phone.do("text", text="?")
        body = {"touser": phone.openid, "msgtype": "text", "text": {"content": "好"}}
        await made.raw("POST", "message/custom/send", json.dumps(body).encode())
        assert (await phone.items())[-1]["text"] == "\\u597d"

    async def test_typing(self, platform: MakePlatform, sim: Sim) -> None:
        made = await platform()
        phone = await sim.phone(made.account)

        async def typing(command: str = "Typing") -> int:
            body = {"touser": phone.openid, "command": command}
            return code(await made.call("POST", "message/custom/typing", body))

        assert await typing() == 45015
        await phone.do("text", text="?")
        assert await typing("Sleeping") == 45072
        assert await typing() == 0
        assert (await phone.screen())["typing"] is True
        assert await typing() == 45081
        sim.clock.advance(seconds=16)
        assert (await phone.screen())["typing"] is False
        assert await typing() == 0
        await self.send(made, phone)
        assert (await phone.screen())["typing"] is False
        sim.clock.advance(seconds=20)
        assert await typing() == 45080


def made_media(sim: Sim, made: Platform) -> Callable[[str], Awaitable[str]]:
    async def upload(kind: str) -> str:
        answer = await uploaded(sim, made, kind)
        media_id: str = answer["media_id"]
        return media_id

    return upload


async def uploaded(
    sim: Sim, made: Platform, kind: str, sample: samples.Sample | None = None
) -> dict[str, Any]:
    by_kind = {"image": samples.picture("sea"), "voice": samples.voice(), "video": samples.video()}
    chosen = sample or by_kind[kind]
    answer = await sim.http.post(
        "/simulator/platform/cgi-bin/media/upload",
        params={"access_token": made.token, "type": kind},
        files={"media": (chosen.name, chosen.body, chosen.mime)},
    )
    data: dict[str, Any] = answer.json()
    return data


class TestMedia:
    async def test_lives_three_days(self, platform: MakePlatform, sim: Sim) -> None:
        made = await platform()
        answer = await uploaded(sim, made, "image")
        assert answer["type"] == "image"
        assert answer["created_at"] == int(sim.clock.now().timestamp())
        got = await made.raw("GET", "media/get", media_id=answer["media_id"])
        assert got.content == samples.picture("sea").body
        assert got.headers["content-type"] == "image/png"
        sim.clock.advance(days=3)
        made.token = await made.get_token()
        gone = await made.call("GET", "media/get", media_id=answer["media_id"])
        assert code(gone) == 40007
        assert (await sim.http.get(f"/simulator/media/{answer['media_id']}")).status_code == 404

    async def test_inbound_media_can_be_fetched(self, platform: MakePlatform, sim: Sim) -> None:
        made = await platform()
        phone = await sim.phone(made.account)
        await phone.do("picture", preset="leaf")
        media_id = (await phone.items())[-1]["media_id"]
        got = await made.raw("GET", "media/get", media_id=media_id)
        assert got.content == samples.picture("leaf").body

    async def test_video_answers_an_address(self, platform: MakePlatform, sim: Sim) -> None:
        made = await platform()
        media_id = (await uploaded(sim, made, "video"))["media_id"]
        answer = await made.call("GET", "media/get", media_id=media_id)
        video = await sim.http.get(answer["video_url"])
        assert video.content == samples.video().body

    async def test_thumb_has_an_id_name_of_its_own(self, platform: MakePlatform, sim: Sim) -> None:
        made = await platform()
        answer = await uploaded(sim, made, "thumb", samples.picture("sea"))
        assert answer["thumb_media_id"]

    @pytest.mark.parametrize(
        ("kind", "body", "errcode"),
        [
            ("sticker", b"\x89PNG\r\n\x1a\n", 40004),
            ("image", b"hello", 40005),
            ("voice", b"\x89PNG\r\n\x1a\n", 40005),
            ("image", b"\x89PNG\r\n\x1a\n" + bytes(10 << 20), 40009),
            ("voice", b"#!AMR" + bytes(2 << 20), 40010),
            ("video", b"\0\0\0\x18ftyp" + bytes(10 << 20), 40011),
            ("thumb", b"\xff\xd8\xff" + bytes(64 << 10), 40012),
        ],
    )
    async def test_refusals(
        self, platform: MakePlatform, sim: Sim, kind: str, body: bytes, errcode: int
    ) -> None:
        made = await platform()
        sample = samples.Sample("f", "application/octet-stream", body)
        assert code(await uploaded(sim, made, kind, sample)) == errcode

    async def test_nothing_sent(self, platform: MakePlatform) -> None:
        made = await platform()
        assert code(await made.call("POST", "media/upload", {"a": 1}, type="image")) == 41005


class TestCodes:
    async def create(self, made: Platform, **fields: Any) -> dict[str, Any]:
        return await made.call("POST", "qrcode/create", fields)

    async def test_scanned_through_its_ticket(
        self, platform: MakePlatform, sim: Sim, mailbox: Mailbox
    ) -> None:
        mailbox.answer = lambda _: b"success"
        made = await platform(url=mailbox.url)
        code_made = await self.create(
            made,
            action_name="QR_STR_SCENE",
            expire_seconds=600,
            action_info={"scene": {"scene_str": "table-7"}},
        )
        assert code_made["expire_seconds"] == 600
        phone = await sim.phone(made.account, following=False)
        await phone.do("scan", ticket=code_made["ticket"])
        assert mailbox.seen[-1].get("EventKey") == "qrscene_table-7"
        assert mailbox.seen[-1].get("Ticket") == code_made["ticket"]
        info = await made.call("GET", "user/info", openid=phone.openid)
        assert (info["qr_scene_str"], info["subscribe_scene"]) == ("table-7", "ADD_SCENE_QR_CODE")
        sim.clock.advance(seconds=600)
        assert await phone.do("scan", scene="table-7") == {"delivery": None, "deliveries": []}
        assert (await phone.items())[-1]["kind"] == "notice"
        assert len(mailbox.seen) == 1

    async def test_permanent(self, platform: MakePlatform, sim: Sim) -> None:
        made = await platform()
        answer = await self.create(
            made, action_name="QR_LIMIT_SCENE", action_info={"scene": {"scene_id": 7}}
        )
        assert "expire_seconds" not in answer
        picture = await made.raw("GET", "showqrcode", token="", ticket=answer["ticket"])
        assert picture.content.startswith(b"\x89PNG")
        listed = await sim.api("GET", f"accounts/{made.account['appid']}/codes")
        assert [(c["scene"], c["alive"]) for c in listed["codes"]] == [("7", True)]
        assert (await made.raw("GET", "showqrcode", token="", ticket="x")).status_code == 404

    async def test_a_scene_too_big_wraps_to_the_biggest(
        self, platform: MakePlatform, sim: Sim
    ) -> None:
        made = await platform()
        await self.create(
            made, action_name="QR_SCENE", action_info={"scene": {"scene_id": 1 << 40}}
        )
        listed = await sim.api("GET", f"accounts/{made.account['appid']}/codes")
        assert listed["codes"][0]["scene"] == "4294967295"

    @pytest.mark.parametrize(
        "fields",
        [
            {"action_name": "QR_OTHER", "action_info": {"scene": {"scene_id": 1}}},
            {"action_name": "QR_SCENE"},
            {"action_name": "QR_SCENE", "action_info": {"scene": {"scene_id": 0}}},
            {"action_name": "QR_SCENE", "action_info": {"scene": {"scene_str": "a"}}},
            {"action_name": "QR_LIMIT_SCENE", "action_info": {"scene": {"scene_id": 100_001}}},
            {"action_name": "QR_STR_SCENE", "action_info": {"scene": {"scene_str": ""}}},
            {"action_name": "QR_STR_SCENE", "action_info": {"scene": {"scene_str": "a" * 65}}},
        ],
    )
    async def test_refusals(self, platform: MakePlatform, fields: dict[str, Any]) -> None:
        assert code(await self.create(await platform(), **fields)) == 40053


class TestFollowers:
    async def test_info(self, platform: MakePlatform, sim: Sim) -> None:
        made = await platform()
        phone = await sim.phone(made.account, following=False)
        info = await made.call("GET", "user/info", openid=phone.openid)
        assert info == {"subscribe": 0, "openid": phone.openid}
        await phone.do("follow")
        info = await made.call("GET", "user/info", openid=phone.openid)
        assert (info["subscribe"], info["nickname"], info["headimgurl"]) == (1, "", "")
        assert info["subscribe_time"] == int(sim.clock.now().timestamp())
        assert code(await made.call("GET", "user/info")) == 41009
        assert code(await made.call("GET", "user/info", openid="x")) == 40003
        asked = {"user_list": [{"openid": phone.openid}]}
        many = await made.call("POST", "user/info/batchget", asked)
        assert many["user_info_list"] == [info]
        assert (
            code(await made.call("POST", "user/info/batchget", {"user_list": [{}] * 101})) == 40032
        )

    async def test_list_has_only_those_who_follow(self, platform: MakePlatform, sim: Sim) -> None:
        made = await platform()
        assert await made.call("GET", "user/get") == {"total": 0, "count": 0, "next_openid": ""}
        phones = [await sim.phone(made.account, following=n != 1) for n in range(3)]
        openids = [phones[0].openid, phones[2].openid]
        page = await made.call("GET", "user/get")
        assert page == {
            "total": 2,
            "count": 2,
            "data": {"openid": openids},
            "next_openid": openids[1],
        }
        rest = await made.call("GET", "user/get", next_openid=openids[1])
        assert rest == {"total": 2, "count": 0, "next_openid": ""}

    async def test_tags_and_remark(self, platform: MakePlatform, sim: Sim) -> None:
        made = await platform()
        phone = await sim.phone(made.account)
        tag = (await made.call("POST", "tags/create", {"tag": {"name": "熟客"}}))["tag"]
        assert tag == {"id": 100, "name": "熟客"}
        assert code(await made.call("POST", "tags/create", {"tag": {"name": "熟客"}})) == 45157
        members = {"openid_list": [phone.openid], "tagid": 100}
        assert code(await made.call("POST", "tags/members/batchtagging", members)) == 0
        assert (await made.call("POST", "tags/getidlist", {"openid": phone.openid})) == {
            "tagid_list": [100]
        }
        assert (await made.call("GET", "tags/get"))["tags"][0]["count"] == 1
        assert (
            code(await made.call("POST", "tags/update", {"tag": {"id": 2, "name": "x"}})) == 45058
        )
        assert (
            code(await made.call("POST", "tags/update", {"tag": {"id": 9, "name": "x"}})) == 45159
        )
        assert (
            code(await made.call("POST", "tags/update", {"tag": {"id": 100, "name": "常客"}})) == 0
        )
        assert code(await made.call("POST", "tags/members/batchuntagging", members)) == 0
        await made.call("POST", "tags/members/batchtagging", members)
        assert code(await made.call("POST", "tags/delete", {"tag": {"id": 100}})) == 0
        remark = {"openid": phone.openid, "remark": "靠窗"}
        assert code(await made.call("POST", "user/info/updateremark", remark)) == 0
        info = await made.call("GET", "user/info", openid=phone.openid)
        assert (info["tagid_list"], info["remark"]) == ([], "靠窗")


class TestFaults:
    async def with_fault(self, made: Platform, **fault: Any) -> None:
        await made.sim.api("PUT", "faults", {"faults": [{"count": 1, **fault}]})

    async def test_error_codes(self, platform: MakePlatform) -> None:
        made = await platform()
        for errcode in (-1, 45009, 45047):
            await self.with_fault(made, kind="errcode", code=errcode)
            assert code(await made.call("GET", "getcallbackip")) == errcode
        assert code(await made.call("GET", "getcallbackip")) == 0

    async def test_expired_tokens_are_really_gone(self, platform: MakePlatform) -> None:
        made = await platform()
        await self.with_fault(made, kind="expired_token")
        assert code(await made.call("GET", "getcallbackip")) == 42001
        assert code(await made.call("GET", "getcallbackip")) == 42001
        made.token = await made.get_token()
        assert code(await made.call("GET", "getcallbackip")) == 0

    async def test_only_the_path_asked_for(self, platform: MakePlatform) -> None:
        made = await platform()
        await self.with_fault(made, kind="errcode", code=-1, path="custom/send")
        assert code(await made.call("GET", "getcallbackip")) == 0
        assert code(await made.call("POST", "message/custom/send", {})) == -1

    async def test_broken_answers(self, platform: MakePlatform) -> None:
        made = await platform()
        for kind, status, start in (
            ("http_500", 500, "<html>"),
            ("html", 200, "<html>"),
            ("truncated", 200, '{"ip_list"'),
        ):
            await self.with_fault(made, kind=kind)
            answer = await made.raw("GET", "getcallbackip")
            assert (answer.status_code, answer.text[: len(start)]) == (status, start)
        await self.with_fault(made, kind="truncated")
        cut = await made.raw("GET", "getcallbackip")
        with pytest.raises(json.JSONDecodeError):
            cut.json()

    async def test_a_hanging_call_may_have_done_its_work(
        self, platform: MakePlatform, sim: Sim
    ) -> None:
        made = await platform()
        phone = await sim.phone(made.account)
        await phone.do("text", text="?")
        for after in (False, True):
            await self.with_fault(made, kind="hang", ms=1, after=after)
            body = {"touser": phone.openid, "msgtype": "text", "text": {"content": "好"}}
            assert code(await made.call("POST", "message/custom/send", body)) == -1
            assert len(await phone.items()) == (2 if after else 1)

    async def test_bad_faults_are_refused(self, sim: Sim) -> None:
        for fault in ({"kind": "rain"}, {"kind": "errcode"}, {"kind": "slow", "ms": -1}):
            assert (await sim.raw("PUT", "faults", {"faults": [fault]})).status_code == 422


async def test_calls_are_listed(platform: MakePlatform, sim: Sim) -> None:
    made = await platform()
    await made.call("GET", "getcallbackip")
    calls = (await sim.api("GET", "calls", appid=made.account["appid"]))["calls"]
    assert [call["path"] for call in calls] == ["/cgi-bin/getcallbackip", "/cgi-bin/stable_token"]
    assert made.token not in json.dumps(calls[0])


def test_what_is_served() -> None:
    assert {"stable_token", "menu/create", "message/custom/send", "media/upload"} <= set(names())


async def test_addresses_and_network_check(platform: MakePlatform, sim: Sim) -> None:
    made = await platform()
    for name in ("getcallbackip", "get_api_domain_ip"):
        assert (await made.call("GET", name))["ip_list"]
    check = {"action": "all", "check_operator": "DEFAULT"}
    assert code(await made.call("POST", "callback/check", check)) == 40201
    changed = {"url": "http://127.0.0.1:9/", "verify": False}
    await sim.api("PATCH", f"accounts/{made.account['appid']}", changed)
    answer = await made.call("POST", "callback/check", check)
    assert (len(answer["dns"]), len(answer["ping"])) == (1, 1)
    assert code(await made.call("POST", "callback/check", {"action": "look"})) == 40202
    wrong = {"action": "dns", "check_operator": "NOBODY"}
    assert code(await made.call("POST", "callback/check", wrong)) == 40203


async def test_quota_calls_need_the_right_names(platform: MakePlatform) -> None:
    made = await platform()
    assert code(await made.call("POST", "clear_quota", {"appid": "wx0"})) == 40013
    assert code(await made.call("POST", "openapi/quota/get", {"cgi_path": "/x"})) == 40035
