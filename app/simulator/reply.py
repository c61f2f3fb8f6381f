"""Judges what an account's server answered, as strictly as the platform does.

Protocol reference 3.1, 3.2 and 9: a body that is not exactly right shows the follower the grey line,
whatever its HTTP status.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from app.simulator import signing
from app.simulator.markup import BadMarkup, Element, read
from app.simulator.model import Account

TEXT_BYTES = 2048
"""Ceiling of a text answer in UTF-8."""
ARTICLES_TO_MESSAGE = 1
"""Articles that may answer a text, picture, video, position or link."""
ARTICLES_TO_EVENT = 8

_ONE_ARTICLE = frozenset({"text", "image", "video", "shortvideo", "location", "link"})


@dataclass(frozen=True, slots=True)
class Trigger:
    """What is being answered."""

    openid: str
    msg_type: str
    answerable: bool = True
    aes_key: str = ""
    """The key this attempt was encrypted with; empty when it went out in clear."""


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: Literal["shown", "nothing", "desk", "fault"]
    items: tuple[dict[str, Any], ...] = ()
    reason: str = ""
    plain: str = ""
    """The answer after decryption."""


class Refused(Exception):
    """The answer is a fault; the message says why."""


def judge(account: Account, trigger: Trigger, status: int, body: bytes) -> Verdict:
    """What the follower would see. Never raises."""
    if status != 200:
        return Verdict("fault", reason=f"HTTP {status}", plain=body.decode(errors="replace"))
    if body in (b"", b"success"):
        return Verdict("nothing", plain=body.decode())
    plain = body
    try:
        root = read(body)
        if root.find("Encrypt") is not None:
            plain = _open(root, account, trigger).encode()
            root = read(plain)
        else:
            _check_clear(account, trigger)
        return _judge_plain(root, account, trigger, plain.decode())
    except (Refused, BadMarkup, signing.BadCipher) as error:
        return Verdict("fault", reason=str(error), plain=plain.decode(errors="replace"))


def _check_clear(account: Account, trigger: Trigger) -> None:
    if account.mode == "safe" and trigger.aes_key:
        raise Refused("the account is in safe mode, the answer is not encrypted")


def _open(root: Element, account: Account, trigger: Trigger) -> str:
    if not trigger.aes_key:
        raise Refused("the answer is encrypted, the account is in plaintext mode")
    encrypted = root.get("Encrypt")
    stamp, nonce = root.get("TimeStamp"), root.get("Nonce")
    if not stamp.isdecimal():
        raise Refused("TimeStamp is not a number")
    expected = signing.sign(account.token, stamp, nonce, encrypted)
    if not signing.same(expected, root.get("MsgSignature")):
        raise Refused("MsgSignature is wrong")
    return signing.decrypt(encrypted, trigger.aes_key, account.appid)


def _judge_plain(root: Element, account: Account, trigger: Trigger, plain: str) -> Verdict:
    if root.get("ToUserName") != trigger.openid:
        raise Refused("ToUserName is not the follower's openid")
    if root.get("FromUserName") != account.original_id:
        raise Refused("FromUserName is not the account's original id")
    if not root.get("CreateTime").isdecimal():
        raise Refused("CreateTime is not a number")
    msg_type = root.get("MsgType")
    if msg_type == "transfer_customer_service":
        if trigger.msg_type == "event":
            raise Refused("transfer_customer_service cannot answer an event")
        return Verdict("desk", plain=plain)
    reader = _READERS.get(msg_type)
    if reader is None:
        raise Refused(f"unknown MsgType {msg_type!r}")
    return Verdict("shown", (reader(root, trigger),), plain=plain)


def _text(root: Element, _: Trigger) -> dict[str, Any]:
    text = root.get("Content")
    if not text:
        raise Refused("Content is empty")
    if len(text.encode()) > TEXT_BYTES:
        raise Refused(f"Content has {len(text.encode())} bytes, more than {TEXT_BYTES}")
    return {"kind": "text", "text": text.replace("\r\n", "\n")}


def _part(root: Element, name: str) -> Element:
    part = root.find(name)
    if part is None:
        raise Refused(f"<{name}> is missing")
    return part


def _media(element: str, kind: str) -> Callable[[Element, Trigger], dict[str, Any]]:
    def reader(root: Element, _: Trigger) -> dict[str, Any]:
        part = _part(root, element)
        media_id = part.get("MediaId")
        if not media_id:
            raise Refused("MediaId is empty")
        item = {"kind": kind, "media_id": media_id}
        if kind == "video":
            item |= {"title": part.get("Title", ""), "description": part.get("Description", "")}
        return item

    return reader


def _music(root: Element, _: Trigger) -> dict[str, Any]:
    part = _part(root, "Music")
    if not part.get("ThumbMediaId"):
        raise Refused("ThumbMediaId is empty")
    return {
        "kind": "music",
        "title": part.get("Title", ""),
        "description": part.get("Description", ""),
        "url": part.get("MusicUrl", ""),
        "hq_url": part.get("HQMusicUrl", ""),
        "media_id": part.get("ThumbMediaId"),
    }


def _news(root: Element, trigger: Trigger) -> dict[str, Any]:
    articles = _part(root, "Articles")
    items = [child for child in articles.children if child.name == "item"]
    if root.get("ArticleCount") != str(len(items)) or not items:
        raise Refused("ArticleCount is not the number of articles")
    limit = ARTICLES_TO_MESSAGE if trigger.msg_type in _ONE_ARTICLE else ARTICLES_TO_EVENT
    if len(items) > limit:
        raise Refused(f"{len(items)} articles, allowed here: {limit}")
    return {
        "kind": "news",
        "articles": [
            {
                "title": item.get("Title", ""),
                "description": item.get("Description", ""),
                "picture_url": item.get("PicUrl", ""),
                "url": item.get("Url", ""),
            }
            for item in items
        ],
    }


_READERS: dict[str, Callable[[Element, Trigger], dict[str, Any]]] = {
    "text": _text,
    "image": _media("Image", "image"),
    "voice": _media("Voice", "voice"),
    "video": _media("Video", "video"),
    "music": _music,
    "news": _news,
}
