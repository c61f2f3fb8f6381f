"""Access tokens by the platform's two sets of rules, which do not disturb each other."""

from dataclasses import dataclass

from app.core.rng import secret_token
from app.simulator.model import Account
from app.simulator.world import World

LIFE_SECONDS = 7200
OVERLAP_SECONDS = 300
"""How long the token before stays good, and how long before its end a new one is given out."""
FORCES_A_DAY = 20
FORCE_SPACING_SECONDS = 30

INVALID = 40001
MALFORMED = 40014
EXPIRED = 42001
MISSING = 41001
_PREFIX = "SIM_"


@dataclass(frozen=True, slots=True)
class Token:
    value: str
    expires_in: int


def owner(world: World, token: str) -> str:
    """The appid a token was made for, whether it is still good or not; empty for an unknown one."""
    rows = world.store.query("SELECT appid FROM token WHERE token = ?", token)
    return str(rows[0][0]) if rows else ""


def check(world: World, token: str) -> int:
    """0 when the token is good, else the error code."""
    if not token:
        return MISSING
    rows = world.store.query("SELECT ends_at, killed FROM token WHERE token = ?", token)
    if not rows:
        return INVALID if token.startswith(_PREFIX) else MALFORMED
    ends_at, killed = rows[0]
    if killed and ends_at <= world.seconds():
        return INVALID
    return EXPIRED if ends_at <= world.seconds() else 0


def expire_all(world: World, appid: str) -> None:
    """Ends every token of the account now, as if its time were over."""
    world.store.query(
        "UPDATE token SET ends_at = ? WHERE appid = ? AND ends_at > ?",
        world.seconds(),
        appid,
        world.seconds(),
    )


def classic(world: World, account: Account) -> Token:
    """A new token with each call; the one before ends within five minutes."""
    _retire(world, account.appid, "classic", world.seconds() + OVERLAP_SECONDS)
    return _issue(world, account.appid, "classic")


def stable(world: World, account: Account) -> Token:
    """The same token until five minutes before its end, then a new one beside it."""
    rows = world.store.query(
        "SELECT token, ends_at FROM token WHERE appid = ? AND kind = 'stable' AND ends_at > ?"
        " ORDER BY ends_at DESC LIMIT 1",
        account.appid,
        world.seconds() + OVERLAP_SECONDS,
    )
    if rows:
        value, ends_at = rows[0]
        return Token(value, int(ends_at - world.seconds()))
    return _issue(world, account.appid, "stable")


def force(world: World, account: Account) -> Token | int:
    """A new stable token, the old ones dead at once; or the error code when it is asked too often."""
    now = world.seconds()
    state = world.store.get_state(f"forced:{account.appid}") or []
    today = [moment for moment in state if moment > now - 86400]
    if today and now - today[-1] < FORCE_SPACING_SECONDS:
        return 45011
    if len(today) >= FORCES_A_DAY:
        return 45009
    world.store.put_state(f"forced:{account.appid}", [*today, now])
    _retire(world, account.appid, "stable", now)
    return _issue(world, account.appid, "stable")


def _issue(world: World, appid: str, kind: str) -> Token:
    now = world.seconds()
    token = _PREFIX + secret_token(90)
    world.store.query("DELETE FROM token WHERE ends_at < ?", now - 86400)
    world.store.query(
        "INSERT INTO token VALUES (?, ?, ?, ?, ?, 0)", token, appid, kind, now, now + LIFE_SECONDS
    )
    return Token(token, LIFE_SECONDS)


def _retire(world: World, appid: str, kind: str, ends_at: float) -> None:
    world.store.query(
        "UPDATE token SET killed = 1, ends_at = min(ends_at, ?) WHERE appid = ? AND kind = ?",
        ends_at,
        appid,
        kind,
    )
