"""All commands. Every option can be given on the command line; nothing asks."""

import typer

from app.cli import doctor, maintain, migrate, openapi, plugin, serve, setup, simulator, work
from app.cli.complaints import Forgiving
from app.cli.demo.command import demo
from app.cli.replies.commands import app as replies

app = typer.Typer(
    name="guanxi",
    cls=Forgiving,
    help="Guanxi 关系：微信公众号服务器 · a self-hosted server for WeChat official accounts",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.serve)
app.command("work")(work.work)
app.command("migrate")(migrate.migrate)
app.command("maintain")(maintain.maintain)
app.add_typer(setup.app, name="setup")
app.add_typer(replies, name="replies")
app.add_typer(plugin.app, name="plugin")
app.command("demo")(demo)
app.command("doctor")(doctor.doctor)
app.command("openapi")(openapi.openapi)
app.command("simulator")(simulator.simulator)


def main() -> None:
    app()
