"""`replies history`, `replies diff` and `replies rollback`."""

from typing import Annotated

import typer

from app.cli.replies.desk import Apply, Desk, Expect, Note, Slug, at_desk
from app.cli.replies.files import tell
from app.cli.replies.tables import columns, show_changes, show_counts
from app.db.tx import Tx
from app.engines.replies.book_plan import Plan
from app.engines.replies.changes import Change
from app.engines.replies.history import RevisionView, list_revisions

MOST_VERSION = 2**62
Version = Annotated[int, typer.Argument(min=0, help="版本号 · a version")]


def history(
    account: Slug,
    version: Annotated[
        int | None,
        typer.Argument(min=1, max=MOST_VERSION, help="显示这一版改了什么 · what this one changed"),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="条数 · how many")] = 20,
    before: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_VERSION, help="早于此版本 · only older than this version"),
    ] = None,
) -> None:
    """列出版本，新的在前：谁、何时、改了多少；给出版本号则显示其内容。

    List the versions, newest first; or show what one of them changed.
    """
    if version is not None:
        view, changes = at_desk(
            account, lambda desk: desk.imports.revision(desk.account_id, version)
        )
        typer.echo("  ".join(_line(view)))
        show_changes(changes, len(changes))
        return

    async def work(desk: Desk) -> list[RevisionView]:
        async def page(tx: Tx) -> list[RevisionView]:
            views, _ = await list_revisions(tx, desk.account_id, before=before, limit=limit)
            return views

        return await desk.office.database.read(page)

    views = at_desk(account, work)
    if not views:
        typer.echo("没有版本 · no versions", err=True)
    for line in columns([_line(view) for view in views]):
        typer.echo(line)


def diff(account: Slug, one: Version, other: Version) -> None:
    """显示两个版本之间的差异。

    Show what leads from one version to the other.
    """

    async def work(desk: Desk) -> list[Change]:
        return await desk.imports.difference(desk.account_id, one, other)

    changes = at_desk(account, work)
    show_changes(changes, len(changes))
    show_counts(changes)


def rollback(
    account: Slug,
    version: Version,
    apply: Apply = False,
    expect: Expect = None,
    note: Note = "",
) -> None:
    """显示回到某个版本会改变什么；加 --apply 才执行。回退本身是一个新版本。

    Show what going back to a version would change; --apply does it, as a version of its own.
    """

    async def work(desk: Desk) -> tuple[Plan, int | None]:
        plan = await desk.imports.plan_rollback(desk.account_id, version, expect=expect)
        if not apply:
            return plan, None
        return plan, await desk.apply(plan, "rollback", note or f"→ {version}")

    tell(*at_desk(account, work))


def _line(view: RevisionView) -> tuple[str, ...]:
    found = view.counts
    return (
        str(view.version),
        f"{view.at:%Y-%m-%d %H:%M:%S}Z",
        view.source,
        view.actor,
        f"+{found['added']} ~{found['changed']} -{found['removed']}",
        view.note,
    )
