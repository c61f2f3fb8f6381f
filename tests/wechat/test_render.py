"""Replies byte for byte, and what can never get out of them."""

from typing import Any
from xml.etree.ElementTree import XML

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.replies import (
    ArticleReply,
    ImageReply,
    MenuReply,
    MusicReply,
    PlatformDeskReply,
    Reply,
    TextReply,
    VideoReply,
    VoiceReply,
)
from app.wechat.render import clean, customer_message, passive
from tests.wechat.samples import VECTORS

TO = "oSIMq1aB2cD3eF4gH5iJ6kL7mN8o"
FROM = "gh_5c0ffee5a11e"
HEAD = (
    f"<xml><ToUserName><![CDATA[{TO}]]></ToUserName>"
    f"<FromUserName><![CDATA[{FROM}]]></FromUserName><CreateTime>1767225661</CreateTime>"
)
MENU = MenuReply("满意吗？", (("101", "满意"), ("102", "不满意")), "谢谢")


def render(reply: Reply) -> str:
    return passive(reply, to=TO, sender=FROM, created_at=1767225661)


def body(reply: Reply) -> str:
    xml = render(reply)
    assert xml.startswith(HEAD)
    assert xml.endswith("</xml>")
    return xml[len(HEAD) : -len("</xml>")]


class TestPassive:
    def test_vector(self) -> None:
        assert render(TextReply("周六 9:00 开门")) == VECTORS["reply"]["plaintext"]

    @pytest.mark.parametrize(
        ("reply", "expected"),
        [
            (
                ImageReply("M1"),
                "<MsgType><![CDATA[image]]></MsgType><Image><MediaId><![CDATA[M1]]></MediaId></Image>",
            ),
            (
                VoiceReply("M2"),
                "<MsgType><![CDATA[voice]]></MsgType><Voice><MediaId><![CDATA[M2]]></MediaId></Voice>",
            ),
            (
                VideoReply("M3"),
                "<MsgType><![CDATA[video]]></MsgType><Video><MediaId><![CDATA[M3]]></MediaId></Video>",
            ),
            (
                VideoReply("M3", "题", "述"),
                (
                    "<MsgType><![CDATA[video]]></MsgType><Video><MediaId><![CDATA[M3]]></MediaId>"
                    "<Title><![CDATA[题]]></Title><Description><![CDATA[述]]></Description></Video>"
                ),
            ),
            (
                MusicReply("T1"),
                (
                    "<MsgType><![CDATA[music]]></MsgType><Music>"
                    "<ThumbMediaId><![CDATA[T1]]></ThumbMediaId></Music>"
                ),
            ),
            (
                MusicReply("T1", "歌", "词", "https://m.example.com/a", "https://m.example.com/b"),
                (
                    "<MsgType><![CDATA[music]]></MsgType><Music><Title><![CDATA[歌]]></Title>"
                    "<Description><![CDATA[词]]></Description>"
                    "<MusicUrl><![CDATA[https://m.example.com/a]]></MusicUrl>"
                    "<HQMusicUrl><![CDATA[https://m.example.com/b]]></HQMusicUrl>"
                    "<ThumbMediaId><![CDATA[T1]]></ThumbMediaId></Music>"
                ),
            ),
            (
                ArticleReply(
                    "题", "述", "https://p.example.com/1", "https://h5.example.com/?a=1&b=2"
                ),
                (
                    "<MsgType><![CDATA[news]]></MsgType><ArticleCount>1</ArticleCount><Articles><item>"
                    "<Title><![CDATA[题]]></Title><Description><![CDATA[述]]></Description>"
                    "<PicUrl><![CDATA[https://p.example.com/1]]></PicUrl>"
                    "<Url><![CDATA[https://h5.example.com/?a=1&b=2]]></Url></item></Articles>"
                ),
            ),
            (
                MENU,
                (
                    "<MsgType><![CDATA[text]]></MsgType>"
                    "<Content><![CDATA[满意吗？\n1. 满意\n2. 不满意\n谢谢]]></Content>"
                ),
            ),
            (PlatformDeskReply(), "<MsgType><![CDATA[transfer_customer_service]]></MsgType>"),
            (
                PlatformDeskReply("kf2001@sim"),
                (
                    "<MsgType><![CDATA[transfer_customer_service]]></MsgType>"
                    "<TransInfo><KfAccount><![CDATA[kf2001@sim]]></KfAccount></TransInfo>"
                ),
            ),
        ],
    )
    def test_byte_for_byte(self, reply: Reply, expected: str) -> None:
        assert body(reply) == expected

    def test_cdata_end_is_divided(self) -> None:
        reply = TextReply("a]]><MsgType>event</MsgType>]]>")
        assert body(reply) == (
            "<MsgType><![CDATA[text]]></MsgType><Content>"
            "<![CDATA[a]]]]><![CDATA[><MsgType>event</MsgType>]]]]><![CDATA[>]]></Content>"
        )
        assert [child.tag for child in XML(render(reply))].count("MsgType") == 1

    def test_control_characters_are_dropped_and_breaks_kept(self) -> None:
        assert body(TextReply("一\x00\x0b\r\n二\t三\r四\ufffe\ud800")).endswith(
            "<![CDATA[一\n二\t三\n四]]></Content>"
        )

    @pytest.mark.parametrize("text", ["", " ", "\n\n", "\x00\x01", "\u3000"])
    def test_nothing_to_say_is_no_answer(self, text: str) -> None:
        assert render(TextReply(text)) == ""

    def test_text_is_cut_between_characters(self) -> None:
        content = XML(render(TextReply("关" * 700))).findtext("Content")
        assert content == "关" * 682
        content = XML(render(TextReply("a" + "👌" * 600))).findtext("Content")
        assert content == "a" + "👌" * 511

    def test_cutting_comes_before_dividing(self) -> None:
        content = XML(render(TextReply("]]>" * 1000))).findtext("Content")
        assert content == ("]]>" * 1000)[:2048]

    def test_titles_are_cut(self) -> None:
        xml = XML(render(ArticleReply("题" * 100, "述" * 300)))
        assert xml.findtext("Articles/item/Title") == "题" * 64
        assert xml.findtext("Articles/item/Description") == "述" * 120

    def test_names_cannot_break_out_either(self) -> None:
        xml = passive(TextReply("a"), to="o]]><X/>", sender="g\x00]]>", created_at=1)
        root = XML(xml)
        assert root.findtext("ToUserName") == "o]]><X/>"
        assert root.findtext("FromUserName") == "g]]>"
        assert root.find("X") is None


@given(st.text())
def test_any_text_arrives_as_said(text: str) -> None:
    xml = render(TextReply(text))
    if not xml:
        assert not clean(text, 2048).strip()
        return
    root = XML(xml)
    assert [child.tag for child in root] == [
        "ToUserName",
        "FromUserName",
        "CreateTime",
        "MsgType",
        "Content",
    ]
    legal = "".join(c for c in text if _is_legal(c)).replace("\r\n", "\n").replace("\r", "\n")
    expected = legal.encode()[:2048].decode(errors="ignore")
    assert root.findtext("Content") == expected


def _is_legal(char: str) -> bool:
    code = ord(char)
    return code in (9, 10, 13) or 32 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or code > 0xFFFF


@given(st.text(), st.text(), st.text())
def test_no_field_of_an_article_breaks_out(title: str, description: str, url: str) -> None:
    root = XML(render(ArticleReply(title, description, url, url)))
    assert [element.tag for element in root.iter()] == [
        "xml",
        "ToUserName",
        "FromUserName",
        "CreateTime",
        "MsgType",
        "ArticleCount",
        "Articles",
        "item",
        "Title",
        "Description",
        "PicUrl",
        "Url",
    ]


class TestCustomerMessage:
    @pytest.mark.parametrize(
        ("reply", "expected"),
        [
            (TextReply("好\x00的"), {"msgtype": "text", "text": {"content": "好的"}}),
            (ImageReply("M1"), {"msgtype": "image", "image": {"media_id": "M1"}}),
            (VoiceReply("M2"), {"msgtype": "voice", "voice": {"media_id": "M2"}}),
            (
                VideoReply("M3", "题", "述"),
                {
                    "msgtype": "video",
                    "video": {"media_id": "M3", "title": "题", "description": "述"},
                },
            ),
            (
                MusicReply("T1", "歌", "词", "u", "h"),
                {
                    "msgtype": "music",
                    "music": {
                        "title": "歌",
                        "description": "词",
                        "musicurl": "u",
                        "hqmusicurl": "h",
                        "thumb_media_id": "T1",
                    },
                },
            ),
            (
                ArticleReply("题", "述", "p", "u"),
                {
                    "msgtype": "news",
                    "news": {
                        "articles": [
                            {"title": "题", "description": "述", "url": "u", "picurl": "p"}
                        ]
                    },
                },
            ),
            (
                MENU,
                {
                    "msgtype": "msgmenu",
                    "msgmenu": {
                        "head_content": "满意吗？",
                        "list": [
                            {"id": "101", "content": "满意"},
                            {"id": "102", "content": "不满意"},
                        ],
                        "tail_content": "谢谢",
                    },
                },
            ),
        ],
    )
    def test_each_kind(self, reply: Reply, expected: dict[str, Any]) -> None:
        assert customer_message(reply, TO) == {"touser": TO, **expected}

    def test_desk_is_passive_only(self) -> None:
        with pytest.raises(ValueError, match="passive"):
            customer_message(PlatformDeskReply("a@b"), TO)

    @pytest.mark.parametrize("text", ["", " \n", "\x00"])
    def test_nothing_to_say(self, text: str) -> None:
        with pytest.raises(ValueError, match="nothing"):
            customer_message(TextReply(text), TO)

    @given(st.text(min_size=1))
    def test_goes_out_as_raw_utf8(self, text: str) -> None:
        """The platform shows escapes such as \\u4f60 literally, or refuses them."""
        try:
            sent = orjson.dumps(customer_message(TextReply("好" + text), TO))
        except ValueError:
            pytest.fail("a text with a visible character can be sent")
        assert "好".encode() in sent
        assert len(customer_message(TextReply("好" + text), TO)["text"]["content"].encode()) <= 2048
