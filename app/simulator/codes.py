"""Parametric QR codes: tickets, scenes, life."""

from typing import NamedTuple

import orjson

from app.core.errors import NotFound
from app.core.rng import secret_token
from app.simulator.model import Account
from app.simulator.world import World

MAX_SECONDS = 2_592_000
DEFAULT_SECONDS = 60


class Code(NamedTuple):
    ticket: str
    scene: str
    action: str
    """QR_SCENE, QR_STR_SCENE, QR_LIMIT_SCENE or QR_LIMIT_STR_SCENE; empty for a code somebody typed."""
    ends_at: float | None
    """Unix seconds on the moved clock; None: it lasts."""
    url: str


def create(world: World, appid: str, action: str, scene: str, seconds: int | None) -> Code:
    ticket = "gQ" + secret_token(60)
    ends_at = None if seconds is None else world.seconds() + seconds
    code = Code(ticket, scene, action, ends_at, f"http://weixin.qq.com/q/02{secret_token(24)}")
    world.store.query(
        "INSERT INTO code SELECT ?, coalesce(max(seq), 0) + 1, ?, ?, ? FROM code",
        ticket,
        appid,
        scene,
        orjson.dumps(code._asdict()).decode(),
    )
    world.hub.tell("codes", appid=appid)
    return code


def find(world: World, ticket: str) -> Code | None:
    rows = world.store.query("SELECT doc FROM code WHERE ticket = ?", ticket)
    return Code(**orjson.loads(rows[0][0])) if rows else None


def of_account(world: World, appid: str, limit: int = 500) -> list[Code]:
    """The newest first."""
    rows = world.store.query(
        "SELECT doc FROM code WHERE appid = ? ORDER BY seq DESC LIMIT ?", appid, limit
    )
    return [Code(**orjson.loads(doc)) for (doc,) in rows]


def count_permanent(world: World, appid: str) -> int:
    rows = world.store.query(
        'SELECT count(*) FROM code WHERE appid = ? AND doc LIKE \'%"action":"QR_LIMIT%\'', appid
    )
    return int(rows[0][0])


def is_alive(world: World, code: Code) -> bool:
    return code.ends_at is None or code.ends_at > world.seconds()


def resolve(world: World, account: Account, scene: str, ticket: str) -> Code | None:
    """The code somebody scans; None when its life is over, or when nothing was scanned at all.

    A scene for which the account made no code counts as a code printed elsewhere. A ticket that
    nobody made raises `NotFound`.
    """
    if ticket:
        found = find(world, ticket)
        if found is None:
            raise NotFound(what=f"二维码 {ticket[:12]}…")
        return found if is_alive(world, found) else None
    if not scene:
        return None
    rows = world.store.query(
        "SELECT doc FROM code WHERE appid = ? AND scene = ? ORDER BY seq DESC LIMIT 1",
        account.appid,
        scene,
    )
    if rows:
        code = Code(**orjson.loads(rows[0][0]))
        return code if is_alive(world, code) else None
    return Code("gQ" + secret_token(60), scene, "", None, "")
