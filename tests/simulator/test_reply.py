"""What the platform makes of an answer: protocol reference 3.1, 3.2 and 9."""

from typing import Any

import pytest
from wechatpy.crypto import WeChatCrypto

from app.simulator.model import Account
from app.simulator.reply import Trigger, Verdict, judge

OPENID = "oSIMq1aB2cD3eF4gH5iJ6kL7mN8o"
KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
TEXT = "<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[周六 9:00]]></Content>"


def account(mode: str = "plain") -> Account:
    return Account.model_validate(
        {
            "appid": "wx00000000000000aa",
            "secret": "s",
            "token": "simTokenABC123",
            "aes_key": KEY,
            "mode": mode,
            "original_id": "gh_5c0ffee5a11e",
        }
    )


def xml(inner: str = TEXT, to: str = OPENID, sender: str = "gh_5c0ffee5a11e") -> str:
    return (
        f"<xml><ToUserName>{to}</ToUserName><FromUserName>{sender}</FromUserName>"
        f"<CreateTime>1767225661</CreateTime>{inner}</xml>"
    )


def plain(body: str | bytes, msg_type: str = "text", status: int = 200) -> Verdict:
    data = body if isinstance(body, bytes) else body.encode()
    return judge(account(), Trigger(OPENID, msg_type), status, data)


def safe(body: str | bytes, mode: str = "safe") -> Verdict:
    data = body if isinstance(body, bytes) else body.encode()
    return judge(account(mode), Trigger(OPENID, "text", aes_key=KEY), 200, data)


def sealed(body: str, token: str = "simTokenABC123", appid: str = "wx00000000000000aa") -> str:
    encrypted: str = WeChatCrypto(token, KEY, appid).encrypt_message(body, "42", 1767225661)
    return encrypted.strip()


def articles(count: int, said: int | None = None) -> str:
    item = "<item><Title>a</Title><Description>b</Description><PicUrl>p</PicUrl><Url>u</Url></item>"
    return (
        f"<MsgType>news</MsgType><ArticleCount>{count if said is None else said}</ArticleCount>"
        f"<Articles>{item * count}</Articles>"
    )


def test_text_is_shown() -> None:
    verdict = plain(xml())
    assert verdict.outcome == "shown"
    assert verdict.items == ({"kind": "text", "text": "周六 9:00"},)


@pytest.mark.parametrize("body", [b"", b"success"])
def test_nothing_is_shown(body: bytes) -> None:
    assert plain(body).outcome == "nothing"
    assert safe(body).outcome == "nothing"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xef\xbb\xbf" + xml().encode(), "byte-order mark"),
        ("\n" + xml(), "does not begin"),
        (" " + xml(), "does not begin"),
        ('"success"', "does not begin"),
        ("success\n", "does not begin"),
        ("Success", "does not begin"),
        ('{"errcode":0}', "does not begin"),
        ("<html></html>", "root element"),
        ("<XML></XML>", "root element"),
        (xml() + "x", "well-formed"),
        (xml()[:-3], "well-formed"),
        (xml().encode("utf-16"), "does not begin"),
        (xml().encode("gb18030"), "UTF-8"),
        ('<!DOCTYPE xml [<!ENTITY a "b">]>' + xml(), "document type"),
        (xml(to="gh_5c0ffee5a11e", sender=OPENID), "ToUserName"),
        (xml(sender="gh_other"), "FromUserName"),
        (xml().replace("<CreateTime>1767225661</CreateTime>", ""), "CreateTime"),
        (xml().replace("1767225661", "now"), "CreateTime"),
        (xml().replace("MsgType", "msgtype"), "MsgType"),
        (xml("<MsgType>sticker</MsgType>"), "unknown MsgType"),
        (xml("<MsgType>event</MsgType>"), "unknown MsgType"),
        (xml("<MsgType>text</MsgType>" + TEXT), "2 times"),
        (xml("<MsgType>text</MsgType><Content></Content>"), "empty"),
        (xml("<MsgType>text</MsgType><Content><b>x</b></Content>"), "text is expected"),
        (xml(f"<MsgType>text</MsgType><Content>{'好' * 683}</Content>"), "2049 bytes"),
        (xml("<MsgType>image</MsgType>"), "<Image>"),
        (xml("<MsgType>image</MsgType><Image><MediaId></MediaId></Image>"), "MediaId"),
        (xml("<MsgType>music</MsgType><Music><Title>t</Title></Music>"), "ThumbMediaId"),
        (xml(articles(2)), "2 articles"),
        (xml(articles(1, said=2)), "ArticleCount"),
        (xml(articles(0)), "ArticleCount"),
        (sealed(xml()), "plaintext mode"),
        ("<xml>" * 20 + "</xml>" * 20, "deep"),
    ],
)
def test_fault_shows_the_grey_line(body: str | bytes, reason: str) -> None:
    verdict = plain(body)
    assert verdict.outcome == "fault"
    assert reason in verdict.reason


@pytest.mark.parametrize("status", [201, 204, 301, 403, 404, 500, 503])
def test_any_status_but_200_is_a_fault(status: int) -> None:
    assert plain(b"success", status=status).outcome == "fault"


@pytest.mark.parametrize(
    ("msg_type", "count", "outcome"),
    [
        ("text", 1, "shown"),
        ("image", 2, "fault"),
        ("video", 2, "fault"),
        ("location", 2, "fault"),
        ("event", 8, "shown"),
        ("event", 9, "fault"),
    ],
)
def test_articles(msg_type: str, count: int, outcome: str) -> None:
    assert plain(xml(articles(count)), msg_type).outcome == outcome


@pytest.mark.parametrize(
    ("inner", "item"),
    [
        (
            "<MsgType>image</MsgType><Image><MediaId>m1</MediaId></Image>",
            {"kind": "image", "media_id": "m1"},
        ),
        (
            "<MsgType>voice</MsgType><Voice><MediaId>m1</MediaId></Voice>",
            {"kind": "voice", "media_id": "m1"},
        ),
        (
            "<MsgType>video</MsgType><Video><MediaId>m1</MediaId><Title>t</Title></Video>",
            {"kind": "video", "media_id": "m1", "title": "t", "description": ""},
        ),
        (
            (
                "<MsgType>music</MsgType><Music><Title>t</Title><MusicUrl>u</MusicUrl>"
                "<ThumbMediaId>m1</ThumbMediaId></Music>"
            ),
            {
                "kind": "music",
                "title": "t",
                "description": "",
                "url": "u",
                "hq_url": "",
                "media_id": "m1",
            },
        ),
        (
            articles(1),
            {
                "kind": "news",
                "articles": [{"title": "a", "description": "b", "picture_url": "p", "url": "u"}],
            },
        ),
    ],
)
def test_other_kinds(inner: str, item: dict[str, Any]) -> None:
    verdict = plain(xml(inner))
    assert (verdict.outcome, verdict.items) == ("shown", (item,))


def test_hand_over_to_the_platforms_desk() -> None:
    body = xml("<MsgType>transfer_customer_service</MsgType>")
    assert plain(body).outcome == "desk"
    assert plain(body, "event").outcome == "fault"


class TestSafeMode:
    def test_wechatpys_answer_is_shown(self) -> None:
        verdict = safe(sealed(xml()))
        assert verdict.outcome == "shown"
        assert verdict.plain == xml()

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            (xml(), "not encrypted"),
            (sealed(xml(), token="otherToken"), "MsgSignature"),
            (sealed(xml(), appid="wx00000000000000bb"), "appid"),
            (sealed(xml()).replace("TimeStamp", "Timestamp"), "TimeStamp"),
            (sealed(xml()).replace("MsgSignature", "msgsignature"), "MsgSignature"),
            (sealed("\n" + xml()), "does not begin"),
            (sealed("success"), "does not begin"),
        ],
    )
    def test_faults(self, body: str, reason: str) -> None:
        verdict = safe(body)
        assert verdict.outcome == "fault"
        assert reason in verdict.reason

    def test_compatible_mode_takes_both(self) -> None:
        assert safe(sealed(xml()), "compat").outcome == "shown"
        assert safe(xml(), "compat").outcome == "shown"
