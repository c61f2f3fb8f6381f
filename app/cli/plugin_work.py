"""What the commands about plugins do, and what `doctor` says of them."""

import asyncio
from collections.abc import Mapping

from app.cli.office import Office, in_office, require_migrated
from app.core.settings import Settings
from app.db.audit import CLI
from app.db.database import open_database
from app.db.events import Events
from app.plugins.finding import Found, find_plugins
from app.plugins.records import Record, read_records
from app.plugins.switching import Switchboard


def told(settings: Settings) -> tuple[list[str], bool]:
    """A line or two for each plugin, and whether all could be loaded."""
    require_migrated(settings)
    found = find_plugins(settings.plugin_paths)
    return _lines(found, asyncio.run(_recorded(settings))), not found.left_out


async def _recorded(settings: Settings) -> dict[str, Record]:
    database = open_database(settings)
    try:
        return await database.read(read_records)
    finally:
        await database.close()


def _lines(found: Found, records: Mapping[str, Record]) -> list[str]:
    lines = []
    for one in found.loaded:
        record = records.get(one.plugin.name, Record(one.plugin.name))
        state = f"off: {record.reason}" if record.off else "on"
        lines.append(
            f"{one.plugin.name} {one.plugin.version}  {state}  "
            f"failures {record.failures}, blocks {record.blocks}  ({one.source})"
        )
        if record.last_failure:
            lines.append(f"    {record.last_failure_at:%Y-%m-%d %H:%M:%S} {record.last_failure}")
    lines += [f"{one.name}  left out: {one.problem}  ({one.source})" for one in found.left_out]
    return lines or ["没有插件 · no plugins"]


def switch(settings: Settings, name: str, *, on: bool) -> None:
    """For every process. Raises `NoSuchPlugin`."""
    loaded = [one.plugin.name for one in find_plugins(settings.plugin_paths).loaded]

    async def work(office: Office) -> None:
        board = Switchboard(office.clock, office.audit, Events(office.clock))
        await office.database.transaction(
            lambda tx: board.switch(tx, name, on=on, actor=CLI, loaded=loaded)
        )

    in_office(work)


def problems(settings: Settings, records: Mapping[str, Record]) -> tuple[list[str], list[str], int]:
    """What is wrong with plugins, in Chinese and in English, and how many are loaded."""
    found = find_plugins(settings.plugin_paths)
    zh = [f"{one.name}（{one.source}）未能装入：{one.problem}" for one in found.left_out]
    en = [f"{one.name} ({one.source}) was left out: {one.problem}" for one in found.left_out]
    for one in found.loaded:
        record = records.get(one.plugin.name)
        if record is not None and record.off:
            command = f"python -m app plugin enable {record.name}"
            zh.append(f"{record.name} 已关闭（{record.reason}）；修好后运行 {command}")
            en.append(f"{record.name} is off ({record.reason}); when it is mended run {command}")
    return zh, en, len(found.loaded)
