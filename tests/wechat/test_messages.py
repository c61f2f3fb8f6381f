"""Each sample delivery: class, every field, key, subject, answerability, neutral form."""

import dataclasses
import hashlib
import json

import pytest
import xmltodict
from wechatpy import parse_message

from app.core.incoming import Grant, Incoming, Kind
from app.wechat import messages as m
from app.wechat.messages import as_list
from app.wechat.parse import parse, parse_fields
from tests.wechat.expected import ADMIN, FOLLOWER, SAMPLES
from tests.wechat.samples import BY_FILE, INDEX, leaf, read

FILES = sorted(SAMPLES)
_ENVELOPE = {"account", "sender", "created_at", "fields"}


def test_every_sample_is_expected() -> None:
    assert set(SAMPLES) == set(BY_FILE)
    assert len(SAMPLES) == 98


@pytest.mark.parametrize("file", FILES)
def test_class_and_every_field(file: str) -> None:
    message, expected = parse(read(file)), SAMPLES[file]
    assert type(message) is expected.cls
    assert message.type_name == expected.type_name
    assert message.account == "gh_5c0ffee5a11e"
    assert message.sender == expected.sender
    assert message.created_at == expected.created_at
    own = {
        field.name: getattr(message, field.name)
        for field in dataclasses.fields(message)
        if field.name not in _ENVELOPE
    }
    assert own == expected.own


@pytest.mark.parametrize("file", FILES)
def test_subject_and_answerable(file: str) -> None:
    message, expected = parse(read(file)), SAMPLES[file]
    assert message.subject == expected.subject
    assert message.answerable is expected.answerable
    assert message.answerable is BY_FILE[file]["passive_reply_shown"]


@pytest.mark.parametrize("file", FILES)
def test_key(file: str) -> None:
    """The literal key, and the same worked out from the fields that the index names."""
    xml = read(file)
    assert parse(xml).key == SAMPLES[file].key
    names = [name for name in BY_FILE[file]["dedupe"] if name != "ToUserName"]
    values = [leaf(xml, name.rsplit(".", 1)[-1]) for name in names]
    if names == ["MsgId"]:
        assert SAMPLES[file].key == f"w:m:{values[0]}"
    else:
        digest = hashlib.sha256("\n".join(values).encode()).hexdigest()
        assert SAMPLES[file].key == f"w:e:{digest[:32]}"


def test_keys_differ_between_samples() -> None:
    assert len({expected.key for expected in SAMPLES.values()}) == len(SAMPLES)


@pytest.mark.parametrize("file", FILES)
def test_incoming(file: str) -> None:
    message, expected = parse(read(file)), SAMPLES[file]
    incoming = message.incoming()
    if expected.incoming is not None:
        assert incoming == expected.incoming
        return
    assert (incoming.kind, incoming.grant) == (Kind.OTHER, None)
    assert incoming.answerable is expected.answerable
    assert incoming.data["type"] == expected.type_name
    kept = {k: v for k, v in message.fields.items() if k in incoming.data}
    assert set(message.fields) - set(kept) == {
        "ToUserName",
        "FromUserName",
        "CreateTime",
        "MsgType",
    } | ({"Event"} if "Event" in message.fields else set())


@pytest.mark.parametrize("file", FILES)
def test_fields_are_whole_and_json_ready(file: str) -> None:
    """Nothing on the wire is lost: each text of the body is among the kept fields."""
    xml = read(file)
    message = parse(xml)
    assert json.loads(json.dumps(message.fields)) == message.fields
    assert sorted(_leaves(message.fields)) == sorted(_leaves(_xmltodict(xml)))
    json.dumps(dict(message.incoming().data))


def _xmltodict(xml: str) -> object:
    """The body as another reader sees it."""
    return xmltodict.parse(xml, strip_whitespace=False)["xml"]


def _leaves(value: object) -> list[str]:
    if isinstance(value, dict):
        return [x for name, inner in value.items() if name != "#text" for x in _leaves(inner)]
    if isinstance(value, list):
        return [x for inner in value for x in _leaves(inner)]
    return [str(value or "")]


@pytest.mark.parametrize("file", FILES)
def test_wechatpy_agrees(file: str) -> None:
    """A second witness: what wechatpy reads under the same attribute name, it reads the same."""
    theirs, ours = parse_message(read(file)), parse(read(file))
    assert theirs is not None
    assert (theirs.source, theirs.target, theirs.time) == (
        ours.sender,
        ours.account,
        ours.created_at,
    )
    own = {field.name for field in dataclasses.fields(ours)} - _ENVELOPE
    for name in own & set(type(theirs)._fields):
        mine = getattr(ours, name)
        if isinstance(mine, str | int | float) and not isinstance(ours, m.DeviceText):
            their = getattr(theirs, name)
            if (type(ours).__name__, name) not in _WECHATPY_IS_WRONG:
                assert str(mine).strip() == str(their or ("" if mine == "" else 0)).strip()


_WECHATPY_IS_WRONG = {
    ("InvoiceAuthorized", "app_id"),  # looks for AppId
    ("StoreAudited", "message"),  # looks for Msg
}


def test_each_class_of_the_samples_has_its_own_name() -> None:
    names = {expected.cls: expected.type_name for expected in SAMPLES.values()}
    assert len(set(names.values())) == len(names)


class TestKeyOfRepeats:
    def test_the_order_of_fields_does_not_matter(self) -> None:
        message = parse(read("event_click.xml"))
        turned = dict(reversed(list(message.fields.items())))
        assert parse_fields(turned).key == message.key

    def test_two_buttons_in_one_second_are_two_taps(self) -> None:
        xml = read("event_click.xml")
        assert parse(xml).key != parse(xml.replace("MENU_MY_COUPONS", "MENU_HOURS")).key

    def test_a_follow_and_a_position_in_one_second_are_two(self) -> None:
        xml = read("event_subscribe.xml")
        assert parse(xml).key != parse(xml.replace("[subscribe]", "[LOCATION]")).key

    def test_a_text_without_number_is_known_by_everything_in_it(self) -> None:
        xml = read("msg_text.xml").replace("<MsgId>25100000000000007</MsgId>", "")
        message = parse(xml)
        assert isinstance(message, m.Text)
        assert message.message_id == 0
        assert message.key.startswith("w:e:")
        assert parse(xml).key == message.key
        assert parse(xml.replace("周六", "周日")).key != message.key

    def test_several_notices_in_one_report_all_count(self) -> None:
        xml = read("event_subscribe_msg_sent.xml")
        start, end = xml.index("<List>"), xml.index("</List>") + len("</List>")
        second = xml[start:end].replace("1700000000000000001", "1700000000000000002")
        two = parse(xml[:end] + second + xml[end:])
        assert isinstance(two, m.NoticesSent)
        assert [result.message_id for result in two.results] == [
            1700000000000000001,
            1700000000000000002,
        ]
        assert two.key != parse(xml).key


class TestPrivacy:
    @pytest.mark.parametrize(
        "file",
        [
            "event_user_info_modified.xml",
            "event_user_authorization_revoke.xml",
            "event_user_authorization_cancellation.xml",
        ],
    )
    def test_without_openid_there_is_no_subject(self, file: str) -> None:
        xml = read(file).replace(f"<OpenID><![CDATA[{FOLLOWER}]]></OpenID>", "")
        message = parse(xml)
        assert message.subject is None
        assert message.sender == ADMIN


class TestUnknown:
    def test_event(self) -> None:
        xml = read("event_click.xml").replace("[CLICK]", "[Brand_New_Event]")
        message = parse(xml)
        assert isinstance(message, m.Unknown)
        assert message.wire_type == "event:brand_new_event"
        assert message.type_name == "unknown"
        assert (message.subject, message.answerable) == (None, False)
        assert message.key.startswith("w:e:")
        assert message.incoming() == Incoming(
            Kind.OTHER,
            data={
                "type": "unknown",
                "wire_type": "event:brand_new_event",
                "EventKey": "MENU_MY_COUPONS",
            },
            answerable=False,
        )

    def test_message_comes_from_a_follower_and_opens_the_window(self) -> None:
        message = parse(read("msg_image.xml").replace("[image]", "[Hologram]"))
        assert isinstance(message, m.Unknown)
        assert message.wire_type == "hologram"
        assert message.subject == FOLLOWER
        assert message.key == "w:m:25100000000000049"
        assert message.incoming().grant is Grant.MESSAGE
        assert message.answerable is False

    def test_message_without_number(self) -> None:
        xml = read("msg_image.xml").replace("[image]", "[hologram]")
        message = parse(xml.replace("<MsgId>25100000000000049</MsgId>", ""))
        assert message.key.startswith("w:e:")

    @pytest.mark.parametrize("name", ["subscribe_scan", "subscribe_scan_product", "device_text"])
    def test_nobody_can_name_an_internal_kind(self, name: str) -> None:
        message = parse(read("event_subscribe.xml").replace("[subscribe]", f"[{name}]"))
        assert isinstance(message, m.Unknown)

    def test_device_event(self) -> None:
        message = parse(read("device_text.xml").replace("[device_text]", "[device_event]"))
        assert isinstance(message, m.Unknown)
        assert message.wire_type == "device_event"


class TestNames:
    def test_are_taken_in_any_case_and_with_blanks_around(self) -> None:
        xml = read("event_scan.xml").replace("[SCAN]", "[ Scan\n]").replace("[event]", "[EVENT]")
        assert isinstance(parse(xml), m.Scan)

    def test_publish_report_by_its_old_name(self) -> None:
        xml = read("event_publish_finish_ok.xml").replace("[PUBLISH", "[FREEPUBLISH")
        assert isinstance(parse(xml), m.PublishDone)

    def test_a_rejection_in_the_other_wrapper(self) -> None:
        xml = read("event_subscribe_msg_change.xml")
        message = parse(xml.replace("SubscribeMsgChangeEvent>", "SubscribeMsgPopupEvent>"))
        assert isinstance(message, m.NoticeConsentChanged)
        assert [consent.status for consent in message.consents] == ["reject"]


class TestDerived:
    @pytest.mark.parametrize(
        ("file", "scene", "payment"),
        [
            ("event_subscribe.xml", "", ""),
            ("event_subscribe_no_eventkey.xml", "", ""),
            ("event_subscribe_scene_id.xml", "1001", ""),
            ("event_subscribe_scene_str.xml", "shop-17/desk_3", ""),
            ("event_subscribe_last_trade_no.xml", "", "4200000000202601010000000001"),
        ],
    )
    def test_follow(self, file: str, scene: str, payment: str) -> None:
        message = parse(read(file))
        assert isinstance(message, m.Subscribe)
        assert (message.scene, message.payment) == (scene, payment)

    def test_scanned_product_with_missing_parts(self) -> None:
        xml = read("event_subscribe_scan_product.xml")
        message = parse(xml.replace("scanbarcode|ean13|6900000000007", "scanimage|x"))
        assert isinstance(message, m.SubscribeScanProduct)
        assert message.product == ("scanimage", "x", "")
        assert message.incoming().data == {"product": {"how": "scanimage", "standard": "x"}}

    def test_bar_code_without_standard(self) -> None:
        xml = read("event_scancode_waitmsg_barcode.xml").replace("EAN_13,", "")
        message = parse(xml)
        assert isinstance(message, m.ScanCodeWait)
        assert message.code == "6900000000007"

    @pytest.mark.parametrize(
        ("file", "ok", "blocked"),
        [
            ("event_template_finish_ok.xml", True, False),
            ("event_template_finish_user_block.xml", False, True),
            ("event_template_finish_system_failed.xml", False, False),
        ],
    )
    def test_template(self, file: str, ok: bool, blocked: bool) -> None:
        message = parse(read(file))
        assert isinstance(message, m.TemplateSent)
        assert (message.ok, message.blocked_by_user) == (ok, blocked)

    def test_mass_and_publish(self) -> None:
        outcomes = [
            getattr(parse(read(f"event_{name}.xml")), "ok", None)
            for name in (
                "mass_finish_ok",
                "mass_finish_err",
                "publish_finish_ok",
                "publish_finish_fail",
            )
        ]
        assert outcomes == [True, False, True, False]


class TestTolerance:
    def test_a_blank_list_is_an_empty_one(self) -> None:
        xml = read("event_mass_finish_ok.xml")
        start, end = xml.index("<ArticleUrlResult>"), xml.index("</ArticleUrlResult>")
        for blank in (
            "",
            "\n  ",
            "<ResultList>\n</ResultList>",
            "<ResultList><item/></ResultList>",
        ):
            message = parse(xml[: start + len("<ArticleUrlResult>")] + blank + xml[end:])
            assert isinstance(message, m.MassSent)
            assert message.articles == ()

    def test_numbers_that_are_none_are_none(self) -> None:
        xml = read("event_location.xml").replace("65.0", "near").replace("31.230416", "nan")
        message = parse(xml)
        assert isinstance(message, m.Location)
        assert (message.latitude, message.longitude, message.precision) == (None, 121.473701, None)
        assert message.fields["Precision"] == "near"

    def test_negative_and_overlong_numbers(self) -> None:
        xml = read("event_update_member_card.xml")
        message = parse(xml.replace(">10<", ">-10<").replace(">0<", f">{'9' * 30}<"))
        assert isinstance(message, m.MemberCardUpdated)
        assert (message.modify_bonus, message.modify_balance) == (-10, None)

    def test_as_list(self) -> None:
        assert as_list(None) == as_list("") == as_list(" \n") == []
        assert as_list({"a": "b"}) == [{"a": "b"}]
        assert as_list(["a"]) == ["a"]
        assert as_list("a") == ["a"]


def test_index_lists_what_is_there() -> None:
    assert {sample["file"] for sample in INDEX["samples"]} == set(FILES)


def test_openids_are_not_shown_in_the_repr_of_a_message_twice() -> None:
    """`fields` holds everything again; logs need it once."""
    assert "MsgType" not in repr(parse(read("msg_text.xml")))
