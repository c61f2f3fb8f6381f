"""Replies in the platform's XML and JSON.

Own templates: content can never leave its CDATA section, characters XML forbids are dropped, and
limits in bytes cut between characters. Protocol reference 3.1, 3.3 and 4.3.
"""

import re
from typing import Any, assert_never

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
    plain_text,
)
from app.core.text import cut_bytes
from app.wechat.limits import (
    DESCRIPTION_BYTES,
    MENU_KEY_BYTES,
    TEXT_BYTES,
    TITLE_BYTES,
    URL_BYTES,
)

# XML 1.0 section 2.2, Char; lone surrogates have no UTF-8 form at all.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_BREAKS = re.compile("\r\n?")


def clean(text: str, limit: int) -> str:
    """`text` without characters that XML forbids, at most `limit` bytes long in UTF-8.

    Line ends become LF: a reader of XML makes the same of them.
    """
    if not text.isprintable():  # most texts are, and need no second look
        text = _BREAKS.sub("\n", _FORBIDDEN.sub("", text))
    return cut_bytes(text, limit)


def passive(reply: Reply, *, to: str, sender: str, created_at: int) -> str:
    """The XML that answers a delivery; `to` is the follower's openid, `sender` the account's original id.

    `""` when nothing is left to say (a text without a visible character): answer `success` then,
    since the platform takes an empty text for a fault. A menu is sent as numbered text. The platform
    shows exactly one article.
    """
    match reply:
        case TextReply(text=text):
            body = _text(text)
        case MenuReply():
            body = _text(plain_text(reply))
        case ImageReply(media_id=media_id):
            body = _typed("image", f"<Image>{_element('MediaId', media_id)}</Image>")
        case VoiceReply(media_id=media_id):
            body = _typed("voice", f"<Voice>{_element('MediaId', media_id)}</Voice>")
        case VideoReply():
            body = _video(reply)
        case MusicReply():
            body = _music(reply)
        case ArticleReply():
            body = _article(reply)
        case PlatformDeskReply(agent=agent):
            body = _desk(agent)
        case _:
            assert_never(reply)
    if not body:
        return ""
    return (
        f"<xml>{_element('ToUserName', to)}{_element('FromUserName', sender)}"
        f"<CreateTime>{created_at}</CreateTime>{body}</xml>"
    )


def customer_message(reply: Reply, openid: str) -> dict[str, Any]:
    """The JSON body of `message/custom/send`.

    Raises `ValueError` for what that call cannot carry: a hand-over to the platform's desk, and a
    text in which nothing is left to say (the platform refuses it with 44004).
    """
    kind, content = _customer_content(reply)
    return {"touser": openid, "msgtype": kind, kind: content}


def _customer_content(reply: Reply) -> tuple[str, dict[str, Any]]:
    match reply:
        case TextReply(text=text):
            return "text", {"content": _something(clean(text, TEXT_BYTES))}
        case MenuReply():
            return "msgmenu", _message_menu(reply)
        case ImageReply(media_id=media_id):
            return "image", {"media_id": media_id}
        case VoiceReply(media_id=media_id):
            return "voice", {"media_id": media_id}
        case VideoReply():
            return "video", {
                "media_id": reply.media_id,
                "title": clean(reply.title, TITLE_BYTES),
                "description": clean(reply.description, DESCRIPTION_BYTES),
            }
        case MusicReply():
            return "music", {
                "title": clean(reply.title, TITLE_BYTES),
                "description": clean(reply.description, DESCRIPTION_BYTES),
                "musicurl": clean(reply.url, URL_BYTES),
                "hqmusicurl": clean(reply.hq_url, URL_BYTES),
                "thumb_media_id": reply.thumb_media_id,
            }
        case ArticleReply():
            article = {
                "title": clean(reply.title, TITLE_BYTES),
                "description": clean(reply.description, DESCRIPTION_BYTES),
                "url": clean(reply.url, URL_BYTES),
                "picurl": clean(reply.picture_url, URL_BYTES),
            }
            return "news", {"articles": [article]}
        case PlatformDeskReply():
            raise ValueError("a hand-over to the platform's desk is a passive answer only")
        case _:
            assert_never(reply)


def _message_menu(reply: MenuReply) -> dict[str, Any]:
    return {
        "head_content": clean(reply.head, TEXT_BYTES),
        "list": [
            {"id": clean(option, MENU_KEY_BYTES), "content": clean(words, TEXT_BYTES)}
            for option, words in reply.options
        ],
        "tail_content": clean(reply.tail, TEXT_BYTES),
    }


def _something(text: str) -> str:
    if not text or text.isspace():
        raise ValueError("nothing is left to say")
    return text


def _text(text: str) -> str:
    text = clean(text, TEXT_BYTES)
    return _typed("text", _element("Content", text)) if text and not text.isspace() else ""


def _video(reply: VideoReply) -> str:
    inner = (
        _element("MediaId", reply.media_id)
        + _optional("Title", reply.title, TITLE_BYTES)
        + _optional("Description", reply.description, DESCRIPTION_BYTES)
    )
    return _typed("video", f"<Video>{inner}</Video>")


def _music(reply: MusicReply) -> str:
    inner = (
        _optional("Title", reply.title, TITLE_BYTES)
        + _optional("Description", reply.description, DESCRIPTION_BYTES)
        + _optional("MusicUrl", reply.url, URL_BYTES)
        + _optional("HQMusicUrl", reply.hq_url, URL_BYTES)
        + _element("ThumbMediaId", reply.thumb_media_id)
    )
    return _typed("music", f"<Music>{inner}</Music>")


def _article(reply: ArticleReply) -> str:
    item = (
        _element("Title", clean(reply.title, TITLE_BYTES))
        + _element("Description", clean(reply.description, DESCRIPTION_BYTES))
        + _element("PicUrl", clean(reply.picture_url, URL_BYTES))
        + _element("Url", clean(reply.url, URL_BYTES))
    )
    return _typed("news", f"<ArticleCount>1</ArticleCount><Articles><item>{item}</item></Articles>")


def _desk(agent: str) -> str:
    to_agent = f"<TransInfo>{_element('KfAccount', agent)}</TransInfo>" if agent else ""
    return _typed("transfer_customer_service", to_agent)


def _typed(kind: str, content: str) -> str:
    return f"<MsgType><![CDATA[{kind}]]></MsgType>{content}"


def _optional(name: str, text: str, limit: int) -> str:
    text = clean(text, limit)
    return _element(name, text) if text else ""


def _element(name: str, text: str) -> str:
    """Text as CDATA. `]]>` would end the section: it is divided over two of them."""
    if not text.isprintable():
        text = _FORBIDDEN.sub("", text)
    if "]]>" in text:
        text = text.replace("]]>", "]]]]><![CDATA[>")
    return f"<{name}><![CDATA[{text}]]></{name}>"
