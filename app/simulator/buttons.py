"""The menu as a phone shows it, and the button a finger lands on."""

from typing import Any

from app.core.errors import NotFound
from app.simulator.model import Account, Follower
from app.simulator.store import Store

Menu = dict[str, Any]
_FIRST_MENU_ID = 430000001


def default_menu(store: Store, appid: str) -> Menu | None:
    """`{"button": […], "menuid": …}`, or None when none was created."""
    menu: Menu | None = store.get_state(f"menu:{appid}")
    return menu


def conditional_menus(store: Store, appid: str) -> list[Menu]:
    """Oldest first, each with `matchrule` and `menuid`."""
    menus: list[Menu] = store.get_state(f"conditional_menus:{appid}") or []
    return menus


def save_menus(store: Store, appid: str, default: Menu | None, conditional: list[Menu]) -> None:
    store.put_state(f"menu:{appid}", default)
    store.put_state(f"conditional_menus:{appid}", conditional)


def next_menu_id(store: Store) -> int:
    number = int(store.get_state("menu_id") or _FIRST_MENU_ID)
    store.put_state("menu_id", number + 1)
    return number


def menu_for(store: Store, follower: Follower) -> Menu | None:
    """The newest conditional menu that fits the tag given last, else the default one."""
    default = default_menu(store, follower.appid)
    if default is None or not follower.tags:
        return default
    for menu in reversed(conditional_menus(store, follower.appid)):
        if str(menu.get("matchrule", {}).get("tag_id")) == str(follower.tags[-1]):
            return menu
    return default


def load_menu(store: Store, account: Account, follower: Follower, now: float) -> Menu | None:
    """What the phone shows: its own copy while that is young enough, else the menu in force.

    Changes `follower`, which the caller saves.
    """
    if now - follower.menu_loaded_at >= account.menu_cache_seconds:
        follower.menu, follower.menu_loaded_at = menu_for(store, follower), now
    return follower.menu


def find_button(menu: Menu | None, *, key: str = "", path: list[int] | None = None) -> Menu:
    """The button with that key (or URL), or at that place (`[1, 0]`: second button, first entry).

    Raises `NotFound` naming what can be tapped.
    """
    buttons: list[Menu] = list((menu or {}).get("button", ()))
    if path is not None:
        return _at(buttons, path)
    leaves: list[Menu] = [leaf for top in buttons for leaf in (top.get("sub_button") or [top])]
    for leaf in leaves:
        if key and key in (leaf.get("key"), leaf.get("url"), leaf.get("name")):
            return leaf
    known = ", ".join(str(leaf.get("key") or leaf.get("name")) for leaf in leaves) or "nothing"
    raise NotFound(what=f"菜单按钮 {key!r} (there is: {known})")


def _at(buttons: list[Menu], path: list[int]) -> Menu:
    level, found = buttons, None
    for index in path:
        if not 0 <= index < len(level):
            raise NotFound(what=f"菜单按钮 {path}")
        found = level[index]
        level = found.get("sub_button") or []
    if found is None or level:
        raise NotFound(what=f"菜单按钮 {path}")
    return found
