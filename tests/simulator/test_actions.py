"""What each thing done with a phone sends, shows and grants."""

from typing import Any

import pytest

from app.simulator.markup import Element, read
from tests.simulator.bot import Mailbox
from tests.simulator.conftest import PhoneClient, Platform, Sim

ENVELOPE = ["ToUserName", "FromUserName", "CreateTime", "MsgType"]


def shape(element: Element) -> Any:
    """Names and texts, nested as they came."""
    if not element.children:
        return element.text
    return [(child.name, shape(child)) for child in element.children]


@pytest.fixture
async def quiet(sim: Sim, mailbox: Mailbox) -> PhoneClient:
    mailbox.answer = lambda _: b"success"
    return await sim.phone(await sim.account(mailbox))


def sent(mailbox: Mailbox, number: int = -1) -> list[tuple[str, Any]]:
    """The fields behind the envelope of one delivery."""
    fields = shape(read(mailbox.seen[number].body.encode()))
    assert [name for name, _ in fields[:4]] == ENVELOPE
    return [("MsgType", fields[3][1]), *fields[4:]]


def without_ids(fields: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return [(name, "…" if name in ("MsgId", "Ticket") else value) for name, value in fields]


def windows(screen: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {grant["kind"]: (grant["left"], grant["seconds"]) for grant in screen["windows"]}


class TestMessages:
    async def test_text(self, quiet: PhoneClient, mailbox: Mailbox) -> None:
        await quiet.do("text", text="两行\n文字")
        assert without_ids(sent(mailbox)) == [
            ("MsgType", "text"),
            ("Content", "两行\n文字"),
            ("MsgId", "…"),
        ]
        assert windows(await quiet.screen()) == {"message": (5, 48 * 3600)}

    async def test_text_from_an_article(self, quiet: PhoneClient, mailbox: Mailbox) -> None:
        await quiet.do("text", text="好", from_article=True)
        assert [name for name, _ in sent(mailbox)] == [
            "MsgType",
            "Content",
            "MsgId",
            "MsgDataId",
            "Idx",
        ]

    async def test_option_counts_as_a_menu_tap(self, quiet: PhoneClient, mailbox: Mailbox) -> None:
        await quiet.do("option", id="101", text="满意")
        assert without_ids(sent(mailbox)) == [
            ("MsgType", "text"),
            ("Content", "满意"),
            ("MsgId", "…"),
            ("bizmsgmenuid", "101"),
        ]
        assert windows(await quiet.screen()) == {"menu": (3, 60)}

    async def test_picture_can_be_fetched(
        self, sim: Sim, quiet: PhoneClient, mailbox: Mailbox
    ) -> None:
        await quiet.do("picture", preset="sea")
        fields = dict(sent(mailbox))
        picture = await sim.http.get(fields["PicUrl"])
        assert picture.headers["content-type"] == "image/png"
        assert picture.content.startswith(b"\x89PNG")
        assert (await quiet.items())[-1]["media_id"] == fields["MediaId"]

    async def test_uploaded_picture(self, sim: Sim, quiet: PhoneClient, mailbox: Mailbox) -> None:
        path = "/".join(quiet.path.split("/")[:2])
        file = await sim.http.post(
            f"/simulator/api/{path}/files?kind=image&name=a.gif",
            content=b"GIF89a",
            headers={"Content-Type": "image/gif"},
        )
        media_id = file.json()["media_id"]
        await quiet.do("picture", file=media_id)
        assert dict(sent(mailbox))["MediaId"] == media_id

    @pytest.mark.parametrize(
        ("do", "names"),
        [
            ("voice", ["MediaId", "Format", "MediaId16K", "MsgId"]),
            ("video", ["MediaId", "ThumbMediaId", "MsgId"]),
            ("position", ["Location_X", "Location_Y", "Scale", "Label", "MsgId"]),
            ("link", ["Title", "Description", "Url", "MsgId"]),
        ],
    )
    async def test_fields_of_the_others(
        self, quiet: PhoneClient, mailbox: Mailbox, do: str, names: list[str]
    ) -> None:
        delivery = await quiet.do(do)
        assert [name for name, _ in sent(mailbox)[1:]] == names
        assert delivery["msg_type"] == {"position": "location"}.get(do, do)
        assert windows(await quiet.screen()) == {"message": (5, 48 * 3600)}


class TestComingAndGoing:
    async def test_follow_and_unfollow(self, sim: Sim, mailbox: Mailbox) -> None:
        mailbox.answer = lambda _: b"success"
        phone = await sim.phone(await sim.account(mailbox), following=False)
        assert await phone.refused("text", text="在吗") == "NOT_FOLLOWING"
        await phone.do("follow")
        assert sent(mailbox) == [("MsgType", "event"), ("Event", "subscribe"), ("EventKey", "")]
        assert windows(await phone.screen()) == {"subscribe": (3, 60)}
        assert await phone.refused("follow") == "ALREADY_FOLLOWING"
        await phone.do("unfollow")
        assert sent(mailbox) == [("MsgType", "event"), ("Event", "unsubscribe"), ("EventKey", "")]
        screen = await phone.screen()
        assert (screen["following"], screen["windows"]) == (False, [])

    async def test_scan_without_and_with_following(self, sim: Sim, mailbox: Mailbox) -> None:
        mailbox.answer = lambda _: b"success"
        phone = await sim.phone(await sim.account(mailbox), following=False)
        await phone.do("scan", scene="poster")
        assert without_ids(sent(mailbox)) == [
            ("MsgType", "event"),
            ("Event", "subscribe"),
            ("EventKey", "qrscene_poster"),
            ("Ticket", "…"),
        ]
        await phone.do("scan", scene="poster")
        assert without_ids(sent(mailbox)) == [
            ("MsgType", "event"),
            ("Event", "SCAN"),
            ("EventKey", "poster"),
            ("Ticket", "…"),
        ]
        assert windows(await phone.screen()) == {"scan": (3, 60), "subscribe": (3, 60)}

    async def test_location_event_only_for_verified_service_accounts(
        self, sim: Sim, quiet: PhoneClient, mailbox: Mailbox
    ) -> None:
        await quiet.do("location")
        assert [name for name, _ in sent(mailbox)] == [
            "MsgType",
            "Event",
            "Latitude",
            "Longitude",
            "Precision",
        ]
        other = await sim.phone(await sim.account(kind="subscription"))
        assert await other.refused("location") == "NOT_FOR_THIS_ACCOUNT"


BUTTONS = [
    {
        "name": "服务",
        "sub_button": [
            {"type": "click", "name": "今日", "key": "TODAY"},
            {"type": "scancode_push", "name": "扫码", "key": "PUSH"},
            {"type": "scancode_waitmsg", "name": "扫码等", "key": "WAIT"},
            {"type": "pic_sysphoto", "name": "拍照", "key": "PHOTO"},
            {"type": "location_select", "name": "位置", "key": "PLACE"},
        ],
    },
    {"type": "view", "name": "官网", "url": "https://example.com/?a=1&b=2"},
    {
        "type": "miniprogram",
        "name": "小程序",
        "url": "https://example.com/",
        "appid": "wx1234",
        "pagepath": "pages/index",
    },
]


class TestMenu:
    @pytest.fixture
    async def menu(self, sim: Sim, mailbox: Mailbox) -> PhoneClient:
        mailbox.answer = lambda _: b"success"
        account = await sim.account(mailbox)
        platform = Platform(sim, account)
        platform.token = await platform.get_token()
        created = await platform.call("POST", "menu/create", {"button": BUTTONS})
        assert created["errcode"] == 0
        return await sim.phone(account)

    async def test_click_by_key_and_by_place(self, menu: PhoneClient, mailbox: Mailbox) -> None:
        for how in ({"key": "TODAY"}, {"path": [0, 0]}):
            await menu.do("menu", **how)
            assert sent(mailbox) == [
                ("MsgType", "event"),
                ("Event", "CLICK"),
                ("EventKey", "TODAY"),
            ]
        assert windows(await menu.screen()) == {"menu": (3, 60)}

    @pytest.mark.parametrize(
        "how", [{"key": "NONE"}, {"path": [0]}, {"path": [3]}, {"path": [1, 0]}, {}]
    )
    async def test_no_such_button(self, menu: PhoneClient, how: dict[str, Any]) -> None:
        assert await menu.refused("menu", **how) == "NOT_FOUND"

    async def test_view_and_mini_program_grant_nothing(
        self, menu: PhoneClient, mailbox: Mailbox
    ) -> None:
        await menu.do("menu", path=[1])
        fields = sent(mailbox)
        assert fields[:3] == [
            ("MsgType", "event"),
            ("Event", "VIEW"),
            ("EventKey", "https://example.com/?a=1&b=2"),
        ]
        assert fields[3][0] == "MenuId"
        assert int(fields[3][1]) > 0
        await menu.do("menu", path=[2])
        assert sent(mailbox)[1:3] == [("Event", "view_miniprogram"), ("EventKey", "pages/index")]
        screen = await menu.screen()
        assert screen["windows"] == []
        assert [item["kind"] for item in screen["items"]] == ["page", "miniprogram_opened"]

    @pytest.mark.parametrize("kind", ["scancode_push", "scancode_waitmsg"])
    async def test_scan_buttons(self, menu: PhoneClient, mailbox: Mailbox, kind: str) -> None:
        key = {"scancode_push": "PUSH", "scancode_waitmsg": "WAIT"}[kind]
        await menu.do("menu", key=key, result="CPN-1")
        assert sent(mailbox) == [
            ("MsgType", "event"),
            ("Event", kind),
            ("EventKey", key),
            ("ScanCodeInfo", [("ScanType", "qrcode"), ("ScanResult", "CPN-1")]),
        ]
        assert windows(await menu.screen()) == {"menu": (3, 60)}

    async def test_bar_codes_name_their_kind(self, menu: PhoneClient, mailbox: Mailbox) -> None:
        await menu.do("menu", key="WAIT", result="6901", scan_type="barcode")
        assert ("ScanResult", "CODE_128,6901") in dict(sent(mailbox))["ScanCodeInfo"]

    async def test_pictures_follow_as_messages(
        self, sim: Sim, menu: PhoneClient, mailbox: Mailbox
    ) -> None:
        answer = await sim.api(
            "POST", f"{menu.path}/actions", {"do": "menu", "key": "PHOTO", "pictures": 2}, wait=1
        )
        assert len(answer["deliveries"]) == 3
        by_type: dict[str, list[Any]] = {}
        for number in range(3):
            fields = dict(sent(mailbox, number))
            by_type.setdefault(fields["MsgType"], []).append(fields)
        (event,) = by_type["event"]
        assert event["SendPicsInfo"][0] == ("Count", "2")
        assert [name for name, _ in event["SendPicsInfo"][1][1]] == ["item", "item"]
        assert len({image["MediaId"] for image in by_type["image"]}) == 2
        # The tap grants nothing; the pictures themselves are messages.
        assert windows(await menu.screen()) == {"message": (5, 48 * 3600)}

    async def test_place_follows_as_a_message(
        self, sim: Sim, menu: PhoneClient, mailbox: Mailbox
    ) -> None:
        answer = await sim.api(
            "POST", f"{menu.path}/actions", {"do": "menu", "key": "PLACE"}, wait=1
        )
        assert len(answer["deliveries"]) == 2
        kinds = {dict(sent(mailbox, n))["MsgType"] for n in range(2)}
        assert kinds == {"event", "location"}

    @pytest.mark.parametrize("kind", ["media_id", "article_id", "view_limited"])
    async def test_materials_are_sent_by_the_platform_itself(
        self, menu: PhoneClient, mailbox: Mailbox, kind: str
    ) -> None:
        answer = await menu.do("menu", type=kind, key="x")
        assert answer == {"delivery": None, "deliveries": []}
        assert mailbox.seen == []
        assert len(await menu.items()) == 1

    async def test_a_button_of_an_old_menu(self, menu: PhoneClient, mailbox: Mailbox) -> None:
        await menu.do("menu", type="click", key="GONE")
        assert dict(sent(mailbox))["EventKey"] == "GONE"
        assert await menu.refused("menu", type="tickle", key="x") == "INVALID"


class TestRaw:
    async def test_any_body_goes_out_as_it_is(self, quiet: PhoneClient, mailbox: Mailbox) -> None:
        for body in ("", "not xml", "<xml></xml>", "{}"):
            await quiet.do("raw", xml=body)
            assert mailbox.seen[-1].body == body

    async def test_what_can_be_read_names_the_delivery(self, quiet: PhoneClient) -> None:
        xml = (
            "<xml><ToUserName>gh</ToUserName><FromUserName>oSomebody</FromUserName>"
            "<CreateTime>1767225660</CreateTime><MsgType>event</MsgType><Event>CLICK</Event>"
            "<EventKey><![CDATA[K]]></EventKey></xml>"
        )
        delivery = await quiet.do("raw", xml=xml)
        assert delivery["key_fields"] == {
            "FromUserName": "oSomebody",
            "CreateTime": 1767225660,
            "Event": "CLICK",
            "EventKey": "K",
        }


@pytest.mark.parametrize(
    ("do", "fields"),
    [
        ("text", {"text": ""}),
        ("option", {"text": "好"}),
        ("scan", {}),
        ("picture", {"preset": "none"}),
        ("picture", {"file": "none"}),
        ("position", {"place": {"latitude": 91}}),
        ("dance", {}),
        ("text", {"text": "x", "more": 1}),
    ],
)
async def test_bad_actions_are_refused(sim: Sim, do: str, fields: dict[str, Any]) -> None:
    phone = await sim.phone(await sim.account())
    assert await phone.refused(do, **fields) == "INVALID"
    assert await phone.items() == []
    assert (await sim.api("GET", "deliveries"))["deliveries"] == []


async def test_a_code_nobody_made(sim: Sim) -> None:
    phone = await sim.phone(await sim.account(), following=False)
    assert await phone.refused("scan", ticket="none") == "NOT_FOUND"
