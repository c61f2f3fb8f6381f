"""Bodies that are hostile, malformed or merely odd."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.wechat import messages as m
from app.wechat.parse import NotUnderstood, parse, parse_fields
from tests.wechat.samples import FOLDER, INDEX, read

HOSTILE = {
    "cdata_break_out.xml": "repeated-field",
    "content_attribute.xml": "nested-field",
    "control_char.xml": "not-xml",
    "createtime_huge.xml": "createtime-not-number",
    "doctype_only.xml": "doctype",
    "duplicate_msgtype.xml": "repeated-field",
    "empty.xml": "empty",
    "empty_msgtype.xml": "no-msgtype",
    "empty_root.xml": "no-fields",
    "entity_bomb.xml": "doctype",
    "entity_external.xml": "doctype",
    "entity_small.xml": "doctype",
    "event_duplicate_eventkey.xml": "repeated-field",
    "event_empty_event.xml": "no-event",
    "event_without_event.xml": "no-event",
    "json_body.xml": "not-xml",
    "msgid_5000_digits.xml": "msgid-not-number",
    "msgid_not_number.xml": "msgid-not-number",
    "nested_content.xml": "nested-field",
    "no_msgtype.xml": "no-msgtype",
    "not_xml.xml": "not-xml",
    "other_root.xml": "other-root",
    "whitespace_only_content.xml": None,
}
_ENVELOPE = "<ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName><CreateTime>1</CreateTime>"


def _text(content: str, more: str = "<MsgId>1</MsgId>") -> str:
    return f"<xml>{_ENVELOPE}<MsgType>text</MsgType><Content>{content}</Content>{more}</xml>"


def test_every_hostile_body_is_expected() -> None:
    listed = {item["file"].removeprefix("hostile/") for item in INDEX["hostile"]}
    assert set(HOSTILE) == listed == {path.name for path in (FOLDER / "hostile").glob("*.xml")}


@pytest.mark.parametrize("file", sorted(name for name, reason in HOSTILE.items() if reason))
def test_hostile_body_is_not_understood(file: str) -> None:
    with pytest.raises(NotUnderstood) as caught:
        parse(read(f"hostile/{file}"))
    assert caught.value.reason == HOSTILE[file]
    assert str(caught.value).startswith(caught.value.reason)
    assert len(caught.value.detail) < 200


def test_blanks_alone_are_an_empty_text() -> None:
    message = parse(read("hostile/whitespace_only_content.xml"))
    assert isinstance(message, m.Text)
    assert message.content == ""
    assert message.fields["Content"] == "   "


class TestContent:
    def test_outer_blanks_and_breaks_are_kept(self) -> None:
        message = parse(_text("<![CDATA[  两行\n文字 \n]]>"))
        assert isinstance(message, m.Text)
        assert message.content == "  两行\n文字 \n"

    def test_other_texts_are_trimmed(self) -> None:
        message = parse(read("event_click.xml").replace("[MENU_MY_COUPONS]", "[ A \n]"))
        assert isinstance(message, m.Click)
        assert message.menu_key == "A"

    def test_pasted_html_is_a_text(self) -> None:
        """A DOCTYPE can only stand before the first element; inside CDATA it is what was typed."""
        message = parse(_text("<![CDATA[<!DOCTYPE html><!ENTITY a>]]>"))
        assert isinstance(message, m.Text)
        assert message.content == "<!DOCTYPE html><!ENTITY a>"

    def test_split_cdata_is_one_text(self) -> None:
        message = parse(_text("<![CDATA[a]]]]><![CDATA[>b]]>"))
        assert isinstance(message, m.Text)
        assert message.content == "a]]>b"

    def test_declaration_before_the_root(self) -> None:
        message = parse('<?xml version="1.0" encoding="GBK"?>' + _text("好"))
        assert isinstance(message, m.Text)
        assert message.content == "好"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("  \n", "empty"),
        (_text("a\0b"), "nul"),
        (_text("\ud800"), "not-xml"),
        (_text("x")[:-3], "not-xml"),
        ("<!-- <xml> --><!DOCTYPE xml [<!ENTITY a 'b'>]>" + _text("&a;"), "doctype"),
        ('<?xml version="1.0"?><!DOCTYPE xml>' + _text("x"), "doctype"),
        ("\ufeff<!DOCTYPE xml>" + _text("x"), "doctype"),
        (_text("&a;"), "not-xml"),
        (_text("x", "<MsgId>1</MsgId><MsgId>2</MsgId>"), "repeated-field"),
        (_text("x", "<MsgId>-1</MsgId>"), "msgid-not-number"),
        (_text("x", "<MsgId>１２</MsgId>"), "msgid-not-number"),
        (_text("x", f"<MsgId>{'1' * 21}</MsgId>"), "msgid-not-number"),
        (_text("x").replace("<CreateTime>1</CreateTime>", ""), "createtime-not-number"),
        (_text("x").replace("<CreateTime>1<", "<CreateTime>1.5<"), "createtime-not-number"),
        (_text("x").replace("gh_1", " "), "no-account"),
        (_text("x").replace("o1", ""), "no-sender"),
        (_text("x").replace("o1", "<b>o1</b>"), "nested-field"),
        (_text("<a>" * 5000 + "</a>" * 5000), "too-deep"),
        ("<xml>text</xml>", "no-fields"),
        (read("event_scancode_push.xml").replace("qrcode", "<b/>", 1), None),
        (
            read("event_scancode_push.xml").replace(
                "<ScanType>", "<ScanType>a</ScanType><ScanType>"
            ),
            "repeated-field",
        ),
        (
            read("event_scancode_push.xml").replace("<ScanType>", '<ScanType k="v">'),
            "nested-field",
        ),
    ],
)
def test_malformed(body: str, reason: str | None) -> None:
    if reason is None:
        assert isinstance(parse(body), m.ScanCodePush)
        return
    with pytest.raises(NotUnderstood) as caught:
        parse(body)
    assert caught.value.reason == reason


def test_a_field_we_do_not_use_may_be_anything() -> None:
    more = '<MsgId>1</MsgId><New k="v">x<y/>z</New><New/><Many>1</Many><Many>2</Many><Many>3</Many>'
    message = parse(_text("x", more))
    assert isinstance(message, m.Text)
    assert message.fields["New"] == [{"y": "", "@k": "v", "#text": "z"}, ""]
    assert message.fields["Many"] == ["1", "2", "3"]


def test_a_json_push_is_read_by_the_same_rules() -> None:
    """Where JSON is configured, numbers may be numbers; those are refused rather than guessed at."""
    fields = {
        "ToUserName": "gh_1",
        "FromUserName": "o1",
        "CreateTime": "1",
        "MsgType": "event",
        "Event": "subscribe_msg_popup_event",
        "SubscribeMsgPopupEvent": {"List": {"TemplateId": "t", "SubscribeStatusString": "accept"}},
    }
    message = parse_fields(fields)
    assert isinstance(message, m.NoticeConsentGiven)
    assert message.consents == (m.NoticeConsent("t", "accept", None),)


@given(st.text())
def test_any_text_is_understood_or_refused(body: str) -> None:
    with pytest.raises(NotUnderstood):
        parse(body)


@given(
    st.dictionaries(
        st.sampled_from(["MsgType", "Event", "EventKey", "Content", "MsgId", "CreateTime", "List"]),
        st.sampled_from(["", " ", "1", "text", "event", "click", "x" * 30, ["1", "2"], {"a": "b"}]),
    )
)
def test_any_fields_are_understood_or_refused(fields: dict[str, object]) -> None:
    whole = {"ToUserName": "gh_1", "FromUserName": "o1", **fields}
    try:
        message = parse_fields(whole)
    except NotUnderstood:
        return
    assert message.key.startswith("w:")
    assert message.incoming().data is not None


def test_an_unknown_message_with_a_monstrous_number_has_a_key_that_fits() -> None:
    """Python refuses to read so long a number, and the column holds 200 characters."""
    fields = {"MsgType": "hologram", "ToUserName": "gh_1", "FromUserName": "o1", "CreateTime": "1"}
    found = parse_fields({**fields, "MsgId": "9" * 5000})
    assert isinstance(found, m.Unknown)
    assert found.key.startswith("w:e:")
    assert len(found.key) < 200
    assert parse_fields({**fields, "MsgId": "7"}).key == "w:m:7"
