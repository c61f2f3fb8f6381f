"""All `replies …` commands."""

import typer

from app.cli.replies import conflicts, files, tester, versions

app = typer.Typer(
    help="自动回复：导出、导入、版本、冲突、测试 · Replies: files, versions, conflicts, tests",
    no_args_is_help=True,
)
app.command("export")(files.export)
app.command("import")(files.import_)
app.command("history")(versions.history)
app.command("diff")(versions.diff)
app.command("rollback")(versions.rollback)
app.command("test")(tester.talk)
app.command("conflicts")(conflicts.conflicts)
