"""`migrate`: brings the database to the version this program needs."""

import asyncio
from contextlib import suppress
from typing import Annotated

import typer

from app.cli.complaints import load_settings
from app.cli.office import NotMigrated
from app.core.clock import SystemClock
from app.core.settings import Settings
from app.db import partitions
from app.db.migrate import state, upgrade
from app.db.partitions import PartitionsBusy
from app.db.wake import listen_url
from app.engines.support.keeping import TABLE


def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="只检查，不升级 · only look; exit code 1 when behind")
    ] = False,
) -> None:
    """升级数据库 · Upgrade the database to this program's version."""
    url = load_settings().database_url
    before = state(url)
    if check:
        if not before.up_to_date:
            raise NotMigrated(current=before.current or "-", wanted=before.wanted)
        typer.echo(f"{before.current}: 已是最新 · up to date")
        return
    after = upgrade(url)
    asyncio.run(cut(load_settings()))
    words = "已是最新 · up to date" if before.up_to_date else "升级完成 · upgraded"
    typer.echo(f"{before.current or '-'} → {after.current}: {words}")


async def cut(settings: Settings) -> None:
    """The months to come have their partitions before the first message arrives.

    A process that is at it already does the same.
    """
    url = listen_url(settings)
    if url is None:
        return
    with suppress(PartitionsBusy):
        async with partitions.opened(url, TABLE) as parts:
            await parts.cut(SystemClock().real())
