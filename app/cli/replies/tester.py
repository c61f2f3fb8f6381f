"""`replies test`: conversations run against an account's rules; reads the database and writes nothing."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer

from app.accounts.capabilities import may_send
from app.accounts.errors import NoSuchAccount
from app.accounts.queries import find_by_slug
from app.cli.complaints import load_settings
from app.cli.office import require_migrated
from app.cli.replies.desk import Slug, other_actions
from app.cli.replies.files import read_file
from app.cli.replies.tables import printable, show_mistakes
from app.conversation.report import CameReport, ChangeReport, Report, StepReport, report
from app.conversation.script import Script, read_script
from app.conversation.tester import Outcome
from app.core.actions import ActionRegistry
from app.core.clock import SystemClock
from app.core.decisions import AccountView
from app.core.ids import AccountId, Ids
from app.db.audit import Audit
from app.db.database import Database, open_database
from app.db.events import Events
from app.engines.replies.actions import register
from app.engines.replies.compiled import EMPTY, Broken, Stored
from app.engines.replies.imports import Imports
from app.engines.replies.mistakes import Mistakes
from app.engines.replies.queries import read_stored
from app.engines.replies.service import Replies
from app.engines.replies.source import FixedBook
from app.engines.replies.standing import stored_of
from app.handlers.offline import Offline
from app.plugins.finding import Found, find_plugins

_CHARACTERS = 200
_PASSED, _FAILED, _OPEN = "✓", "✗", "·"


def talk(
    file: Annotated[
        str,
        typer.Argument(help="对话文件（YAML 或 JSON），- 为标准输入 · conversations; - for stdin"),
    ],
    account: Slug,
    version: Annotated[
        int | None,
        typer.Option(min=0, help="用规则的这个版本，缺省为现在的 · this version of the rules"),
    ] = None,
    rules: Annotated[
        str | None, typer.Option(help="用这个文件里的规则 · the rules of this file")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(help="再与这个版本或文件比较 · also compare with this version or file"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="输出 JSON · print JSON")] = False,
) -> None:
    """让一份对话文件与规则对话，逐步核对期望；不写数据库，不发消息。

    Run conversations against the rules and check what is expected of them. Nothing is written or
    sent. Exits with 1 when an expectation is not met.
    """
    if version is not None and rules is not None:
        raise typer.BadParameter("--version and --rules exclude each other", param_hint="--rules")
    try:
        script = read_script(read_file(file))
        found = asyncio.run(_tested(script, account, version, rules, against))
    except Mistakes as error:
        show_mistakes(error)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
    else:
        _show(found)
    if not found.passed:
        raise typer.Exit(1)


async def _tested(
    script: Script, slug: str, version: int | None, rules: str | None, against: str | None
) -> Report:
    settings = load_settings()
    require_migrated(settings)
    plugins = find_plugins(settings.plugin_paths)
    database = open_database(settings)
    try:
        reading = _Reading(database, await _view(database, slug), plugins)
        chosen = str(version) if version is not None else rules
        if chosen is None and script.book is not None:
            book = stored_of(reading.imports.read_plain(script.book))
        else:
            book = await reading.book(chosen)
        other = None if against is None else await reading.book(against)
    finally:
        await database.close()
    return _run(script, reading, book, other)


def _run(script: Script, reading: "_Reading", book: Stored, other: Stored | None) -> Report:
    now = SystemClock().now()

    def outcomes(stored: Stored) -> tuple[list[Outcome], tuple[Broken, ...]]:
        loaded = [one.plugin for one in reading.plugins.loaded]
        offline = Offline(
            stored,
            reading.view,
            actions=[action for plugin in loaded for action in plugin.actions],
            routers=[router for plugin in loaded for router in plugin.routers],
        )
        return [offline.player.run(one, now) for one in script.conversations], offline.broken

    came, broken = outcomes(book)
    return report(came, None if other is None else outcomes(other)[0], broken, "zh")


class _Reading:
    """Books of one account: as they are, as they were, and out of files."""

    def __init__(self, database: Database, view: AccountView, plugins: Found) -> None:
        self._database = database
        self.view = view
        self.plugins = plugins
        clock = SystemClock()
        registry = ActionRegistry(other_actions(plugins))
        ids = Ids(clock, 0)  # what only checks draws none
        register(registry, FixedBook(Stored()))
        replies = Replies(ids, clock, registry, Events(clock), Audit(ids, clock))
        self.imports = Imports(database, replies)

    async def book(self, named: str | None) -> Stored:
        """A version by its number, a file by its path (`./12` too), or the book as it is."""
        if named is None:
            account_id = self.view.id
            return await self._database.read(lambda tx: read_stored(tx, account_id, EMPTY.version))
        if named.isdecimal():
            return stored_of(await self.imports.book_at(self.view.id, int(named)))
        return stored_of(self.imports.read_file(read_file(named)))


async def _view(database: Database, slug: str) -> AccountView:
    row = await database.read(lambda tx: find_by_slug(tx, slug))
    if row is None:
        raise NoSuchAccount(account=slug)
    return AccountView(
        id=AccountId(row.id),
        slug=row.slug,
        name=row.name,
        timezone=row.timezone,
        may_send=may_send(row.kind, row.verified),
        contact=row.contact,
    )


# --- what is printed ------------------------------------------------------------------------------


def _show(found: Report) -> None:
    for one in found.conversations:
        colour = typer.colors.GREEN if one.passed else typer.colors.RED
        typer.secho(f"{_PASSED if one.passed else _FAILED} {_line(one.name)}", fg=colour)
        for step in one.steps:
            _show_step(step)
    for broken in found.broken:
        words = f"不可用 · not usable: {broken.what} {_line(broken.name)}: {_line(broken.problem)}"
        typer.secho(words, fg=typer.colors.YELLOW)
    if found.changes is not None:
        _show_changes(found.changes)
    typer.echo(
        f"{len(found.conversations)} 段对话 conversations · {found.steps} 步 steps · "
        f"{found.expected} 步有期望 with expectations · {found.failed} 步不符 failed"
    )


def _show_step(step: StepReport) -> None:
    mark = _FAILED if step.failures else _PASSED if step.came is not None else _OPEN
    typer.secho(
        f"  {mark} {step.number:>3} {_line(step.did)}",
        fg=typer.colors.RED if step.failures else None,
    )
    for failure in step.failures:
        typer.echo(f"        {failure.what}: 应为 wanted {_line(failure.wanted)}")
        typer.echo(f"        {'':{len(failure.what)}}  却是 came   {_line(failure.came)}")
    if step.failures and step.came is not None:
        _show_why(step.came)


def _show_why(came: CameReport) -> None:
    by = came.rule or came.binding or came.handler or "-"
    typer.echo(f"        由 by {_line(by)}：{_line(came.reason)}")


def _show_changes(changes: Sequence[ChangeReport]) -> None:
    for change in changes:
        head = f"≠ {_line(change.conversation)} · {change.number} {_line(change.did)}"
        typer.secho(head, fg=typer.colors.YELLOW)
        for sign, came in (("-", change.before), ("+", change.now)):
            typer.echo(f"    {sign} {_line(_said(came))}")
            by = came.rule or came.binding or came.handler or "-"
            typer.echo(f"      由 by {_line(by)}：{_line(came.reason)}")
    typer.echo(f"{len(changes)} 处不同 · answers differ")


def _said(came: CameReport) -> str:
    """What is seen of an answer, on one line."""
    parts = [came.text or "（无回复 nothing）"]
    parts += [f"[{effect['kind']} {effect.get('name', '')}]" for effect in came.effects]
    if came.flow:
        parts.append(f"→ {came.flow}/{came.step}")
    if came.missed:
        parts.append("（未听懂 missed）")
    if came.apart:
        parts.append(f"[apart {came.apart}]")
    return " ".join(parts)


def _line(value: object) -> str:
    words = printable(" ".join(str("-" if value is None else value).split()))
    return words if len(words) <= _CHARACTERS else f"{words[:_CHARACTERS]}…"
