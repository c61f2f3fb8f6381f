"""Followers and their tags. Protocol reference 4.5."""

from typing import Any

from app.simulator.model import Follower
from app.simulator.platform.call import OK, Answer, ApiError, Call, Endpoint
from app.simulator.world import World

_PAGE = 10_000
_BATCH_INFO = 100
_BATCH_TAG = 50
_TAGS = 100
_TAGS_OF_ONE = 20
_TAG_BYTES = 30
_FIRST_TAG = 100
"""Ids 0, 1 and 2 are the platform's own."""


def _info(follower: Follower) -> dict[str, Any]:
    """Names, pictures and places are empty since December 2021."""
    if not follower.following:
        return {"subscribe": 0, "openid": follower.openid}
    scene = follower.qr_scene
    return {
        "subscribe": 1,
        "openid": follower.openid,
        "nickname": "",
        "sex": 0,
        "city": "",
        "province": "",
        "country": "",
        "headimgurl": "",
        "subscribe_time": follower.subscribed_at,
        "remark": follower.remark,
        "groupid": follower.tags[-1] if follower.tags else 0,
        "tagid_list": follower.tags,
        "subscribe_scene": follower.subscribe_scene or "ADD_SCENE_SEARCH",
        "qr_scene": int(scene) if scene.isdecimal() else 0,
        "qr_scene_str": "" if scene.isdecimal() else scene,
    }


async def info(call: Call) -> Answer:
    openid = call.query("openid")
    if not openid:
        raise ApiError(41009)
    return _info(call.follower(openid))


async def info_batch(call: Call) -> Answer:
    wanted = call.data().get("user_list")
    if not isinstance(wanted, list) or not 1 <= len(wanted) <= _BATCH_INFO:
        raise ApiError(40032)
    openids = [entry.get("openid") for entry in wanted if isinstance(entry, dict)]
    return {"user_info_list": [_info(call.follower(openid)) for openid in openids]}


async def list_all(call: Call) -> Answer:
    """Those who follow now, 10,000 a page."""
    everyone = [
        f.openid for f in call.world.store.list_followers(call.account.appid) if f.following
    ]
    start, after = 0, call.query("next_openid")
    if after:
        if after not in everyone:
            raise ApiError(40003)
        start = everyone.index(after) + 1
    page = everyone[start : start + _PAGE]
    answer: dict[str, Any] = {"total": len(everyone), "count": len(page)}
    if page:
        answer["data"] = {"openid": page}
    return {**answer, "next_openid": page[-1] if page else ""}


async def update_remark(call: Call) -> Answer:
    data = call.data()
    follower, remark = call.follower(data.get("openid")), str(data.get("remark", ""))
    if len(remark) >= 30:
        raise ApiError(40035, "remark")
    follower.remark = remark
    call.world.save_follower(follower)
    return OK


# tags


def _tags(world: World, appid: str) -> dict[str, str]:
    tags: dict[str, str] = world.store.get_state(f"tags:{appid}") or {}
    return tags


def _save_tags(call: Call, tags: dict[str, str]) -> None:
    call.world.store.put_state(f"tags:{call.account.appid}", tags)


def _tag_name(tags: dict[str, str], data: dict[str, Any], own: str = "") -> str:
    name = str((data.get("tag") or {}).get("name", ""))
    if not name or any(other == name and number != own for number, other in tags.items()):
        raise ApiError(45157)
    if len(name.encode()) > _TAG_BYTES:
        raise ApiError(45158)
    return name


def _known_tag(tags: dict[str, str], value: object) -> str:
    number = str(value)
    if number in ("0", "1", "2"):
        raise ApiError(45058)
    if number not in tags:
        raise ApiError(45159)
    return number


async def create_tag(call: Call) -> Answer:
    tags = _tags(call.world, call.account.appid)
    if len(tags) >= _TAGS:
        raise ApiError(45056)
    name = _tag_name(tags, call.data())
    number = max([_FIRST_TAG - 1, *map(int, tags)]) + 1
    _save_tags(call, {**tags, str(number): name})
    return {"tag": {"id": number, "name": name}}


async def get_tags(call: Call) -> Answer:
    everyone = call.world.store.list_followers(call.account.appid)
    return {
        "tags": [
            {
                "id": int(number),
                "name": name,
                "count": sum(int(number) in follower.tags for follower in everyone),
            }
            for number, name in _tags(call.world, call.account.appid).items()
        ]
    }


async def update_tag(call: Call) -> Answer:
    tags, data = _tags(call.world, call.account.appid), call.data()
    number = _known_tag(tags, (data.get("tag") or {}).get("id"))
    _save_tags(call, {**tags, number: _tag_name(tags, data, number)})
    return OK


async def delete_tag(call: Call) -> Answer:
    tags = _tags(call.world, call.account.appid)
    number = _known_tag(tags, (call.data().get("tag") or {}).get("id"))
    for follower in call.world.store.list_followers(call.account.appid):
        if int(number) in follower.tags:
            follower.tags.remove(int(number))
            call.world.save_follower(follower)
    _save_tags(call, {other: name for other, name in tags.items() if other != number})
    return OK


def _members(call: Call) -> tuple[int, list[Follower]]:
    data = call.data()
    number = _known_tag(_tags(call.world, call.account.appid), data.get("tagid"))
    openids = data.get("openid_list")
    if not isinstance(openids, list) or not 1 <= len(openids) <= _BATCH_TAG:
        raise ApiError(40032)
    return int(number), [call.follower(openid) for openid in openids]


async def tag_members(call: Call) -> Answer:
    number, followers = _members(call)
    for follower in followers:
        tags = [tag for tag in follower.tags if tag != number]
        if len(tags) >= _TAGS_OF_ONE:
            raise ApiError(45059)
        follower.tags = [*tags, number]
        call.world.save_follower(follower)
    return OK


async def untag_members(call: Call) -> Answer:
    number, followers = _members(call)
    for follower in followers:
        follower.tags = [tag for tag in follower.tags if tag != number]
        call.world.save_follower(follower)
    return OK


async def tags_of(call: Call) -> Answer:
    return {"tagid_list": call.follower(call.data().get("openid")).tags}


ENDPOINTS = (
    Endpoint("user/info", "GET", info, "users"),
    Endpoint("user/info/batchget", "POST", info_batch, "users"),
    Endpoint("user/get", "GET", list_all, "users"),
    Endpoint("user/info/updateremark", "POST", update_remark, "users"),
    Endpoint("tags/create", "POST", create_tag, "users"),
    Endpoint("tags/get", "GET", get_tags, "users"),
    Endpoint("tags/update", "POST", update_tag, "users"),
    Endpoint("tags/delete", "POST", delete_tag, "users"),
    Endpoint("tags/members/batchtagging", "POST", tag_members, "users"),
    Endpoint("tags/members/batchuntagging", "POST", untag_members, "users"),
    Endpoint("tags/getidlist", "POST", tags_of, "users"),
)
