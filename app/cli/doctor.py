"""`doctor`: says what is wrong and what to do."""

import asyncio
import resource
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import typer
from sqlalchemy import text

from app.accounts.registry import AccountRegistry
from app.cli.complaints import explained, load_settings
from app.core.clock import SystemClock
from app.core.errors import AppError
from app.core.ids import moment_of
from app.core.settings import Settings
from app.core.vault import Vault
from app.db import partitions
from app.db.database import Database, open_database
from app.db.migrate import state
from app.db.months import month_of
from app.db.wake import listen_url
from app.engines.support.keeping import TABLE

SKEW_SECONDS = 5.0
FEWEST_FILES = 4096


@dataclass(frozen=True, slots=True)
class Finding:
    zh: str
    en: str
    ok: bool


@dataclass(frozen=True, slots=True)
class _Patient:
    settings: Settings
    database: Database
    clock: SystemClock


class ClockOff(AppError):
    code = "CLOCK_OFF"
    zh = "本机时钟与数据库相差 {seconds:.0f} 秒；请在两台机器上启用时间同步（NTP）"
    en = "This clock and the database's differ by {seconds:.0f} s; switch time synchronisation on"


class FolderReadOnly(AppError):
    code = "FOLDER_READ_ONLY"
    zh = "数据目录 {folder} 不可写：{problem}；请修改权限或 GUANXI_DATA_DIR"
    en = "The data folder {folder} cannot be written: {problem}; change its rights or GUANXI_DATA_DIR"


class FewFiles(AppError):
    code = "FEW_FILES"
    zh = "系统只允许打开 {hard} 个文件，数据库故障时可能不够；请把上限提高到 {wanted} 以上（ulimit -Hn）"
    en = (
        "Only {hard} open files are allowed, few when the database is away; "
        "raise it above {wanted} (ulimit -Hn)"
    )


class NotCut(AppError):
    code = "NOT_CUT"
    zh = "消息表缺少 {months} 的分区；消息不会丢失，但请运行 python -m app maintain，并检查后台任务是否在运行"
    en = (
        "The table of messages has no partition for {months}; nothing is lost, but run "
        "python -m app maintain, and see whether a worker runs"
    )


class Astray(AppError):
    code = "ASTRAY"
    zh = "消息表的默认分区中有消息（{oldest} 起）；请运行 python -m app maintain"
    en = "The default partition holds messages, from {oldest} on; run python -m app maintain"


class Behind(AppError):
    code = "NOT_MIGRATED"
    zh = "数据库版本为 {current}，需要 {wanted}；请运行 python -m app migrate"
    en = "The database is at {current}, {wanted} is needed; run python -m app migrate"


def doctor() -> None:
    """检查设置、数据库、时钟、目录与密钥，并说明如何处理；有问题时退出码为 1。

    Check settings, database, clock, folders and keys, and say what to do; exit code 1 for trouble.
    """
    findings = examine(load_settings())
    for found in findings:
        mark = typer.style("✓", fg=typer.colors.GREEN)
        if not found.ok:
            mark = typer.style("✗", fg=typer.colors.RED)
        typer.echo(f"{mark} {found.zh}\n  {found.en}")
    if not all(found.ok for found in findings):
        raise typer.Exit(1)


def examine(settings: Settings) -> list[Finding]:
    """Every check in order; those that need a database are left out when there is none."""
    findings = [
        _tried("设置", "settings", settings.check_for_serving),
        _tried("数据目录", "data folder", lambda: _folder(settings)),
        _tried("文件上限", "open files", _files),
        _tried("数据库版本", "migrations", lambda: _migrations(settings)),
    ]
    if findings[-1].ok:
        findings += asyncio.run(_with_database(settings))
    return findings


def _tried(zh: str, en: str, check: Callable[[], object]) -> Finding:
    try:
        check()
    except Exception as error:  # noqa: BLE001  # what cannot be explained is raised again
        return _trouble(zh, en, error)
    return Finding(f"{zh}：正常", f"{en}: fine", ok=True)


def _trouble(zh: str, en: str, error: Exception) -> Finding:
    complaint = explained(error)
    if complaint is None:
        raise error
    return Finding(f"{zh}：{complaint.say('zh')}", f"{en}: {complaint.say('en')}", ok=False)


def _folder(settings: Settings) -> None:
    folder = settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise FolderReadOnly(folder=folder, problem=error.strerror) from error


def _files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FEWEST_FILES:
        raise FewFiles(hard=hard, wanted=FEWEST_FILES)


def _migrations(settings: Settings) -> None:
    found = state(settings.database_url)
    if not found.up_to_date:
        raise Behind(current=found.current or "-", wanted=found.wanted)


async def _with_database(settings: Settings) -> list[Finding]:
    patient = _Patient(settings, open_database(settings), SystemClock())
    try:
        return [
            await _awaited("时钟", "clock", lambda: _clock(patient)),
            await _awaited("分区", "partitions", lambda: _partitions(patient)),
            await _accounts(patient),
            await _plugins(patient),
        ]
    finally:
        await patient.database.close()


async def _awaited(zh: str, en: str, check: Callable[[], Awaitable[None]]) -> Finding:
    try:
        await check()
    except Exception as error:  # noqa: BLE001  # what cannot be explained is raised again
        return _trouble(zh, en, error)
    return Finding(f"{zh}：正常", f"{en}: fine", ok=True)


async def _clock(patient: _Patient) -> None:
    """SQLite has no clock of its own."""
    if patient.settings.on_sqlite:
        return
    theirs: datetime = await patient.database.read(
        lambda tx: tx.value(text("SELECT clock_timestamp()"))
    )
    seconds = abs((patient.clock.now() - theirs).total_seconds())
    if seconds > SKEW_SECONDS:
        raise ClockOff(seconds=seconds)


async def _partitions(patient: _Patient) -> None:
    """Of this month and the next; the one after that may still be to come."""
    url = listen_url(patient.settings)
    if url is None:
        return
    async with partitions.seen(url, TABLE) as parts:
        look = await parts.look()
    now = patient.clock.real()
    if look.astray(now) and look.lowest is not None:
        raise Astray(oldest=f"{moment_of(look.lowest):%Y-%m-%d}")
    missing = [month for month in look.missing(now) if month <= month_of(now).after()]
    if look.parts and missing:
        raise NotCut(months=", ".join(map(str, missing)))


async def _accounts(patient: _Patient) -> Finding:
    vault = Vault(patient.settings.secret_key.get_secret_value())
    registry = AccountRegistry(patient.database, vault, patient.clock)
    await registry.refresh()
    problems = tuple(registry.problems.values())
    if problems:
        return Finding(
            "公众号：" + "；".join(problem.say("zh") for problem in problems),
            "accounts: " + "; ".join(problem.say("en") for problem in problems),
            ok=False,
        )
    count = len(registry.all())
    if not count:
        return Finding(
            "公众号：还没有；请运行 python -m app setup account",
            "accounts: none yet; run python -m app setup account",
            ok=True,
        )
    return Finding(f"公众号：{count} 个，正常", f"accounts: {count}, fine", ok=True)


async def _plugins(patient: _Patient) -> Finding:
    """Those left out, and those switched off."""
    from app.cli.plugin_work import problems  # noqa: PLC0415  # slow to load, see `plugin`
    from app.plugins.records import read_records  # noqa: PLC0415  # as above

    zh, en, count = problems(patient.settings, await patient.database.read(read_records))
    if zh:
        return Finding("插件：" + "；".join(zh), "plugins: " + "; ".join(en), ok=False)
    return Finding(f"插件：{count} 个，正常", f"plugins: {count}, fine", ok=True)
