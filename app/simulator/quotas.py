"""Daily quotas of the API's interfaces. Protocol reference 4.1; the day is Beijing's."""

from datetime import timedelta

from app.simulator.world import World

DAILY: dict[str, int] = {
    "token": 2_000,
    "stable_token": 500_000,
    "menu/create": 1_000,
    "menu/delete": 1_000,
    "menu/get": 10_000,
    "menu/addconditional": 2_000,
    "menu/delconditional": 2_000,
    "menu/trymatch": 20_000,
    "message/custom/send": 500_000,
    "media/upload": 5_000,
    "media/get": 10_000,
    "qrcode/create": 100_000,
    "user/get": 500,
    "user/info": 5_000_000,
    "user/info/updateremark": 10_000,
}
RESETS_A_MONTH = 10

USED_UP = 45009
NO_RESETS = 48006

_BEIJING = timedelta(hours=8)


def _day(world: World) -> str:
    return (world.now() + _BEIJING).strftime("%Y-%m-%d")


def used(world: World, appid: str, name: str) -> int:
    return _count(world, appid, name, _day(world))


def spend(world: World, appid: str, name: str) -> int:
    """Counts one call; 0, or the error code when the day's calls are used up."""
    limit = DAILY.get(name)
    if limit is None:
        return 0
    if used(world, appid, name) >= limit:
        return USED_UP
    _add(world, appid, name, _day(world), 1)
    return 0


def reset(world: World, appid: str) -> int:
    """Clears the day's counts; 0, or the error code after ten times in a month."""
    month = _day(world)[:7]
    if _count(world, appid, "reset", month) >= RESETS_A_MONTH:
        return NO_RESETS
    _add(world, appid, "reset", month, 1)
    world.store.query("DELETE FROM used WHERE appid = ? AND period = ?", appid, _day(world))
    return 0


def _count(world: World, appid: str, name: str, period: str) -> int:
    rows = world.store.query(
        "SELECT count FROM used WHERE appid = ? AND name = ? AND period = ?", appid, name, period
    )
    return int(rows[0][0]) if rows else 0


def _add(world: World, appid: str, name: str, period: str, count: int) -> None:
    world.store.query(
        "INSERT INTO used VALUES (?, ?, ?, ?)"
        " ON CONFLICT(appid, name, period) DO UPDATE SET count = count + excluded.count",
        appid,
        name,
        period,
        count,
    )
