"""`serve`: the parent of the serving processes.

It holds the listening socket, which the processes share, so that none of them is missed for longer
than another takes to accept.
"""

import asyncio
import os
import resource
import socket
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from prometheus_client import multiprocess

from app.accounts.errors import EmptyToken
from app.accounts.registry import AccountRegistry
from app.cli.complaints import load_settings
from app.cli.lock import hold
from app.cli.office import require_migrated
from app.cli.supervisor import Supervisor
from app.core.clock import SystemClock
from app.core.errors import AppError
from app.core.log import setup_logging
from app.core.settings import BadSettings, Settings, child_environment
from app.core.vault import Vault
from app.db.database import open_database

BACKLOG = 2048
_MOST_FILES = 65_536


class CannotListen(AppError):
    code = "CANNOT_LISTEN"
    zh = "无法监听 {host}:{port}：{problem}"
    en = "Cannot listen on {host}:{port}: {problem}"


def serve(
    host: Annotated[str, typer.Option(help="监听地址 · address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="端口 · port")] = 8000,
    processes: Annotated[
        int, typer.Option(min=1, max=64, help="进程数，SQLite 只能为 1 · on SQLite only 1")
    ] = 1,
) -> None:
    """启动服务 · Serve, until SIGTERM or Ctrl-C."""
    settings = load_settings()
    setup_logging(settings.log_format, settings.log_level)
    with ExitStack() as stack:
        check(settings, processes)
        files: list[int] = []
        if settings.on_sqlite:
            files.append(stack.enter_context(hold(settings.data_dir)).fileno())
        listening = stack.enter_context(listen(host, port))
        check_accounts(settings)
        raise_file_limit()
        address = listening.getsockname()
        typer.echo(f"http://{host}:{address[1]}  ({processes} × serve)", err=True)
        run(listening, processes, files)


def check(settings: Settings, processes: int) -> None:
    """Raises for what must not run in front of WeChat."""
    settings.check_for_serving()
    if settings.role == "worker":
        raise BadSettings(problem="GUANXI_ROLE=worker does not serve; run python -m app work")
    if settings.on_sqlite and processes > 1:
        raise BadSettings(problem="on SQLite one process serves; use PostgreSQL for more")
    require_migrated(settings)


def check_accounts(settings: Settings) -> None:
    """Raises `EmptyToken`; other accounts that do not work are logged and left out."""

    async def look() -> None:
        database = open_database(settings)
        try:
            vault = Vault(settings.secret_key.get_secret_value())
            registry = AccountRegistry(database, vault, SystemClock())
            await registry.refresh()
        finally:
            await database.close()
        for problem in registry.problems.values():
            if isinstance(problem, EmptyToken):
                raise problem

    asyncio.run(look())


def listen(host: str, port: int) -> socket.socket:
    """The listening socket. Raises `CannotListen`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        problem = error.strerror or str(error)
        raise CannotListen(host=host, port=port, problem=problem) from error


def raise_file_limit() -> None:
    """The soft limit of open files to the hard one: a held delivery is an open connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def run(listening: socket.socket, processes: int, files: list[int]) -> None:
    """Supervises the serving processes until a signal comes."""
    with ExitStack() as stack:
        alive, ours = os.pipe()
        stack.callback(os.close, alive)
        stack.callback(os.close, ours)
        environment = child_environment()
        figures = ""
        if processes > 1:
            figures = stack.enter_context(tempfile.TemporaryDirectory(prefix="guanxi-metrics-"))
            environment = child_environment(
                GUANXI_METRICS_DIR=figures, PROMETHEUS_MULTIPROC_DIR=figures
            )
        command = [sys.executable, "-m", "app.cli.child", str(listening.fileno()), str(alive)]
        Supervisor(
            command,
            processes,
            files=(listening.fileno(), alive, *files),
            environment=environment,
            on_death=lambda pid: _forget_figures(pid, figures),
        ).run()


def _forget_figures(pid: int, folder: str) -> None:
    """Gauges of a process that is gone count no more; its counters stay."""
    if folder and Path(folder).is_dir():
        multiprocess.mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
