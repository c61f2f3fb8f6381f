"""`maintain`: cuts partitions ahead and throws away what policy says, as the timetable does."""

import asyncio
from typing import Annotated

import typer

from app.cli.complaints import load_settings
from app.cli.office import open_office, require_migrated
from app.core.settings import Settings


def maintain(
    plan: Annotated[
        bool, typer.Option("--plan", help="只说明要做什么 · only say what would be done")
    ] = False,
) -> None:
    """维护大表：提前建好分区，按设置删除过期数据；可在服务运行时执行。

    Keep the large tables in shape: partitions ahead of time, old rows deleted as the settings say.
    Runs beside serving processes.
    """
    settings = load_settings()
    require_migrated(settings)
    if not asyncio.run(_all(settings, plan=plan)):
        typer.echo("无事可做 · nothing to do")


async def _all(settings: Settings, *, plan: bool) -> int:
    """Tells each line as it is done; how many there were."""
    from app.runtime import chores  # noqa: PLC0415  # a second that no other command should take

    told = 0
    async with open_office(settings) as office:
        for chore in chores(settings, office.database, office.clock, office.audit):
            for line in await (chore.plan() if plan else chore.run()):
                typer.echo(f"{line.zh}\n  {line.en}")
                told += 1
    return told
