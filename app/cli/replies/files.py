"""`replies export` and `replies import`."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app.cli.replies.desk import Apply, Desk, Expect, Note, Slug, at_desk
from app.cli.replies.tables import show_mistakes, show_plan
from app.engines.replies.book_plan import Mode, Plan
from app.engines.replies.document_places import Format
from app.engines.replies.documents import MOST_BYTES
from app.engines.replies.imports import planned_and_done
from app.engines.replies.mistakes import Mistakes


class Formats(StrEnum):
    YAML = "yaml"
    JSON = "json"


class Modes(StrEnum):
    MERGE = "merge"
    REPLACE = "replace"


def export(
    account: Slug,
    form: Annotated[Formats, typer.Option("--format", help="yaml | json")] = Formats.YAML,
    output: Annotated[
        Path | None, typer.Option(help="写入文件，缺省为标准输出 · a file; else standard output")
    ] = None,
) -> None:
    """把全部规则、绑定、流程和设置导出为一个文件。

    Write the whole book as one file, which `replies import` takes.
    """
    named: Format = "yaml" if form is Formats.YAML else "json"
    text, version = at_desk(account, lambda desk: desk.imports.export(desk.account_id, named))
    if output is None:
        sys.stdout.buffer.write(text.encode())
        return
    output.write_text(text, encoding="utf-8")
    typer.echo(f"{output}: 版本 {version} · version {version}", err=True)


def import_(
    file: Annotated[
        str, typer.Argument(help="YAML 或 JSON 文件，- 为标准输入 · - for standard input")
    ],
    account: Slug,
    mode: Annotated[
        Modes,
        typer.Option(help="merge 增加和修改；replace 以文件为准 · replace: the rest goes"),
    ] = Modes.MERGE,
    apply: Apply = False,
    expect: Expect = None,
    note: Note = "",
) -> None:
    """显示导入一个文件会改变什么；加 --apply 才执行，有错误时全部列出且不作更改。

    Show what a file would change; --apply does it, whole or not at all. With mistakes in the file
    all of them are listed, and the command exits with 1.
    """
    raw = read_file(file)
    named: Mode = "merge" if mode is Modes.MERGE else "replace"

    async def work(desk: Desk) -> tuple[Plan, int | None]:
        async def plan() -> Plan:
            return await desk.imports.plan_import(desk.account_id, raw, named, expect=expect)

        async def do(made: Plan) -> tuple[Plan, int]:
            return made, await desk.apply(made, "import", note)

        if not apply:
            return await plan(), None
        return await planned_and_done(plan, do, again=expect is None)

    try:
        made, version = at_desk(account, work)
    except Mistakes as error:
        show_mistakes(error)
        raise typer.Exit(1) from error
    tell(made, version)


def tell(plan: Plan, version: int | None) -> None:
    """The plan, and whether it was carried out: `version` is the book's then."""
    show_plan(plan)
    if version is None:
        typer.echo(
            f"未执行；加 --apply 执行（依据版本 {plan.base}）"
            f" · not done; --apply does it (from version {plan.base})"
        )
    else:
        typer.echo(f"已执行，现为版本 {version} · done, version {version} now")


def read_file(file: str) -> bytes:
    """One byte more than allowed at most, which is refused like any other mistake."""
    if file == "-":
        return sys.stdin.buffer.read(MOST_BYTES + 1)
    with Path(file).open("rb") as opened:
        return opened.read(MOST_BYTES + 1)
