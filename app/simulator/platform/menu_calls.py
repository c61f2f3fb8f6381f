"""Menus: creation with the platform's checks, conditional ones, what is in force. Reference 4.2."""

from typing import Any, NamedTuple
from urllib.parse import urlsplit

from app.simulator import buttons
from app.simulator.buttons import Menu
from app.simulator.platform.call import OK, Answer, ApiError, Call, Endpoint
from app.simulator.world import World

_WITH_KEY = frozenset(
    {
        "click",
        "scancode_push",
        "scancode_waitmsg",
        "pic_sysphoto",
        "pic_photo_or_album",
        "pic_weixin",
        "location_select",
    }
)
_WITH_MEDIA = frozenset({"media_id", "view_limited"})
_WITH_ARTICLE = frozenset({"article_id", "article_view_limited"})
_TYPES = _WITH_KEY | _WITH_MEDIA | _WITH_ARTICLE | {"view", "miniprogram"}
_KEY_BYTES = 128
_URL_BYTES = 1024
_OUTSIDE_DOMAINS = 3
_PRIVATE = frozenset({"sex", "country", "province", "city", "language", "group_id"})


class _Level(NamedTuple):
    """Limits of a level of the menu, and the error codes of that level."""

    most: int
    name_bytes: int
    size: int
    name: int
    key: int
    url: int


_TOP = _Level(3, 16, 40016, 40018, 40019, 40020)
_SUB = _Level(5, 60, 40023, 40025, 40026, 40027)


def check_buttons(world: World, appid: str, listed: object, level: _Level = _TOP) -> list[Menu]:
    """The buttons with only the fields that count. Raises the code of the first fault."""
    if not isinstance(listed, list) or not 1 <= len(listed) <= level.most:
        raise ApiError(level.size)
    return [_check_button(world, appid, button, level) for button in listed]


def _check_button(world: World, appid: str, button: object, level: _Level) -> Menu:
    if not isinstance(button, dict):
        raise ApiError(47001)
    name = button.get("name")
    if not isinstance(name, str) or not 1 <= len(name.encode()) <= level.name_bytes:
        raise ApiError(level.name, repr(name))
    if button.get("sub_button"):
        if level is _SUB:
            raise ApiError(level.size, "a sub-button has no buttons of its own")
        return {
            "name": name,
            "sub_button": check_buttons(world, appid, button["sub_button"], _SUB),
        }
    kind = button.get("type")
    if kind not in _TYPES:
        raise ApiError(40017, repr(kind))
    return {"type": kind, "name": name, **_settings(world, appid, button, level), "sub_button": []}


def _settings(world: World, appid: str, button: dict[str, Any], level: _Level) -> dict[str, Any]:
    kind = button["type"]
    if kind in _WITH_KEY:
        return {"key": _sized(button, "key", _KEY_BYTES, level.key)}
    if kind == "view":
        return {"url": _url(button, level)}
    if kind == "miniprogram":
        pages = {name: _sized(button, name, _KEY_BYTES, 40035) for name in ("appid", "pagepath")}
        return {"url": _url(button, level), **pages}
    if kind in _WITH_MEDIA:
        media_id = _sized(button, "media_id", _KEY_BYTES, 40007)
        if world.find_media(appid, media_id) is None:
            raise ApiError(40007)
        return {"media_id": media_id}
    return {"article_id": _sized(button, "article_id", _KEY_BYTES, 40007)}


def _sized(button: dict[str, Any], name: str, most: int, code: int) -> str:
    value = button.get(name)
    if not isinstance(value, str) or not 1 <= len(value.encode()) <= most:
        raise ApiError(code, f"{name} of {button['name']}")
    return value


def _url(button: dict[str, Any], level: _Level) -> str:
    url = _sized(button, "url", _URL_BYTES, level.url)
    if not url.startswith(("http://", "https://")):
        raise ApiError(40066, url)
    return url


async def create(call: Call) -> Answer:
    """Replaces the whole default menu; the conditional ones stay."""
    appid, store = call.account.appid, call.world.store
    button = check_buttons(call.world, appid, call.data(escapes="refuse").get("button"))
    menu = {"button": button, "menuid": buttons.next_menu_id(store)}
    buttons.save_menus(store, appid, menu, buttons.conditional_menus(store, appid))
    call.world.hub.tell("menu", appid=appid)
    return OK


async def get(call: Call) -> Answer:
    store, appid = call.world.store, call.account.appid
    menu = buttons.default_menu(store, appid)
    if menu is None:
        raise ApiError(46003)
    conditional = buttons.conditional_menus(store, appid)
    return {"menu": menu, **({"conditionalmenu": conditional} if conditional else {})}


async def delete(call: Call) -> Answer:
    """The default menu and all conditional ones."""
    buttons.save_menus(call.world.store, call.account.appid, None, [])
    call.world.hub.tell("menu", appid=call.account.appid)
    return OK


async def current(call: Call) -> Answer:
    menu = buttons.default_menu(call.world.store, call.account.appid)
    if menu is None:
        return {"is_menu_open": 0, "selfmenu_info": {}}
    return {"is_menu_open": 1, "selfmenu_info": {"button": [_current(b) for b in menu["button"]]}}


def _current(button: Menu) -> Menu:
    """Here sub-buttons are wrapped in a `list`."""
    if not button.get("sub_button"):
        return {name: value for name, value in button.items() if name != "sub_button"}
    return {
        "name": button["name"],
        "sub_button": {"list": [_current(sub) for sub in button["sub_button"]]},
    }


async def add_conditional(call: Call) -> Answer:
    data, store, appid = call.data(escapes="refuse"), call.world.store, call.account.appid
    default = buttons.default_menu(store, appid)
    if default is None:
        raise ApiError(65303)
    rule = data.get("matchrule")
    if not isinstance(rule, dict) or not any(rule.values()):
        raise ApiError(65304)
    private = _PRIVATE & {name for name, value in rule.items() if value}
    if private:
        raise ApiError(65320, ", ".join(sorted(private)))
    menu = {
        "button": check_buttons(call.world, appid, data.get("button")),
        "matchrule": rule,
        "menuid": buttons.next_menu_id(store),
    }
    menus = [*buttons.conditional_menus(store, appid), menu]
    if len({host for each in menus for host in _hosts(each)}) > _OUTSIDE_DOMAINS:
        raise ApiError(65316)
    buttons.save_menus(store, appid, default, menus)
    call.world.hub.tell("menu", appid=appid)
    return {"menuid": str(menu["menuid"])}


def _hosts(menu: Menu) -> set[str]:
    leaves = [leaf for top in menu["button"] for leaf in (top.get("sub_button") or [top])]
    return {urlsplit(leaf["url"]).hostname or "" for leaf in leaves if leaf.get("url")}


async def delete_conditional(call: Call) -> Answer:
    store, appid = call.world.store, call.account.appid
    wanted = str(call.data().get("menuid", ""))
    menus = buttons.conditional_menus(store, appid)
    rest = [menu for menu in menus if str(menu["menuid"]) != wanted]
    if len(rest) == len(menus):
        raise ApiError(65301)
    buttons.save_menus(store, appid, buttons.default_menu(store, appid), rest)
    call.world.hub.tell("menu", appid=appid)
    return OK


async def try_match(call: Call) -> Answer:
    openid = str(call.data().get("user_id", ""))
    follower = call.world.store.find_follower(call.account.appid, openid)
    if follower is None:
        raise ApiError(65302)
    menu = buttons.menu_for(call.world.store, follower)
    if menu is None:
        raise ApiError(46003)
    return {"button": menu["button"]}


ENDPOINTS = (
    Endpoint("menu/create", "POST", create, "menu"),
    Endpoint("menu/get", "GET", get, "menu"),
    Endpoint("menu/delete", "GET", delete, "menu"),
    Endpoint("get_current_selfmenu_info", "GET", current, "menu"),
    Endpoint("menu/addconditional", "POST", add_conditional, "conditional_menu"),
    Endpoint("menu/delconditional", "POST", delete_conditional, "conditional_menu"),
    Endpoint("menu/trymatch", "POST", try_match, "conditional_menu"),
)
