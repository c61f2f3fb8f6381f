"""Customer messages and the typing mark. Protocol reference 4.3."""

from collections.abc import Callable
from typing import Any

from app.simulator import capabilities, windows
from app.simulator.model import Follower
from app.simulator.platform.call import OK, Answer, ApiError, Call, Endpoint
from app.simulator.reply import TEXT_BYTES

_TYPING_SECONDS = 15
_EXCHANGE_SECONDS = 30

_Content = dict[str, Any]


async def send(call: Call) -> Answer:
    """Checks everything before a message of the follower's grant is spent."""
    data = call.data()
    kind = str(data.get("msgtype", ""))
    reader = _READERS.get(kind)
    if reader is None:
        raise ApiError(40008, repr(kind))
    follower = _receiver(call, data)
    part = data.get(kind)
    if not isinstance(part, dict):
        raise ApiError(47001, kind)
    content = reader(call, part)
    _spend(call, follower)
    follower.typing_until = 0
    call.world.save_follower(follower)
    call.world.show(
        call.account.appid, follower.openid, "account", content, send=call.world.new_id()
    )
    return OK


def _receiver(call: Call, data: dict[str, Any]) -> Follower:
    follower = call.follower(data.get("touser"))
    if not follower.following:
        raise ApiError(43004)
    return follower


def _spend(call: Call, follower: Follower) -> None:
    code = windows.spend(follower, call.world.seconds())
    if code:
        raise ApiError(code)


def _media(call: Call, media_id: object) -> str:
    if not media_id or call.world.find_media(call.account.appid, str(media_id)) is None:
        raise ApiError(40007)
    return str(media_id)


def _text(_: Call, part: _Content) -> _Content:
    text = part.get("content")
    if not isinstance(text, str) or not text:
        raise ApiError(44004)
    if len(text.encode()) > TEXT_BYTES:
        raise ApiError(45002)
    return {"kind": "text", "text": text.replace("\r\n", "\n")}


def _image(call: Call, part: _Content) -> _Content:
    return {"kind": "image", "media_id": _media(call, part.get("media_id"))}


def _voice(call: Call, part: _Content) -> _Content:
    return {"kind": "voice", "media_id": _media(call, part.get("media_id"))}


def _video(call: Call, part: _Content) -> _Content:
    return {
        "kind": "video",
        "media_id": _media(call, part.get("media_id")),
        "thumb_media_id": _media(call, part.get("thumb_media_id")),
        "title": str(part.get("title", "")),
        "description": str(part.get("description", "")),
    }


def _music(call: Call, part: _Content) -> _Content:
    return {
        "kind": "music",
        "media_id": _media(call, part.get("thumb_media_id")),
        "title": str(part.get("title", "")),
        "description": str(part.get("description", "")),
        "url": str(part.get("musicurl", "")),
        "hq_url": str(part.get("hqmusicurl", "")),
    }


def _news(_: Call, part: _Content) -> _Content:
    articles = part.get("articles")
    if not isinstance(articles, list) or not articles:
        raise ApiError(44003)
    if len(articles) > 1:
        raise ApiError(45008)
    article = articles[0]
    if not isinstance(article, dict):
        raise ApiError(47001)
    return {
        "kind": "news",
        "articles": [
            {
                "title": str(article.get("title", "")),
                "description": str(article.get("description", "")),
                "picture_url": str(article.get("picurl", "")),
                "url": str(article.get("url", "")),
            }
        ],
    }


def _msgmenu(call: Call, part: _Content) -> _Content:
    if not capabilities.may(call.account, "msgmenu"):
        raise ApiError(40200)
    listed = part.get("list")
    if not isinstance(listed, list) or not listed:
        raise ApiError(44004, "list")
    options = []
    for option in listed:
        if not isinstance(option, dict) or not option.get("id") or not option.get("content"):
            raise ApiError(40035, "list")
        options.append({"id": str(option["id"]), "text": str(option["content"])})
    return {
        "kind": "menu",
        "head": str(part.get("head_content", "")),
        "options": options,
        "tail": str(part.get("tail_content", "")),
    }


def _article(_: Call, part: _Content) -> _Content:
    article_id = str(part.get("article_id") or part.get("media_id") or "")
    if not article_id:
        raise ApiError(40007)
    return {"kind": "article", "article_id": article_id}


def _mini_program(call: Call, part: _Content) -> _Content:
    if not str(part.get("appid", "")).startswith("wx"):
        raise ApiError(40013)
    return {
        "kind": "miniprogram",
        "title": str(part.get("title", "")),
        "appid": str(part["appid"]),
        "path": str(part.get("pagepath", "")),
        "media_id": _media(call, part.get("thumb_media_id")),
    }


def _card(_: Call, __: _Content) -> _Content:
    """The feature is closed."""
    raise ApiError(48001, "wxcard")


def _link(_: Call, __: _Content) -> _Content:
    """Meant for mini programs."""
    raise ApiError(48008, "link")


_READERS: dict[str, Callable[[Call, _Content], _Content]] = {
    "text": _text,
    "image": _image,
    "voice": _voice,
    "video": _video,
    "music": _music,
    "news": _news,
    "msgmenu": _msgmenu,
    "mpnews": _article,
    "mpnewsarticle": _article,
    "miniprogrampage": _mini_program,
    "wxcard": _card,
    "link": _link,
}


async def typing(call: Call) -> Answer:
    data = call.data()
    command = data.get("command")
    if command not in ("Typing", "CancelTyping"):
        raise ApiError(45072)
    follower, now = _receiver(call, data), call.world.seconds()
    if not windows.is_open(follower, now):
        raise ApiError(windows.OUTSIDE)
    if command == "CancelTyping":
        follower.typing_until = 0
    elif now - follower.last_contact_at > _EXCHANGE_SECONDS:
        raise ApiError(45080)
    elif follower.typing_until > now:
        raise ApiError(45081)
    else:
        follower.typing_until = now + _TYPING_SECONDS
    call.world.save_follower(follower)
    return OK


ENDPOINTS = (
    Endpoint("message/custom/send", "POST", send, "customer_message"),
    Endpoint("message/custom/typing", "POST", typing, "customer_message"),
)
