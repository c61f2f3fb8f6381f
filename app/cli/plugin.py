"""`plugin list`, `plugin enable`, `plugin disable`, `plugin new`.

What they do is loaded when they run: plugins bring the whole conversation along, a second that no
other command should take.
"""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.complaints import load_settings

app = typer.Typer(help="插件 · Plugins", no_args_is_help=True)


@app.command("list")
def list_all() -> None:
    """列出插件：版本、来源、状态、失败次数；有装不上的插件时退出码为 1。

    List the plugins with version, source, state and failures; exit code 1 when one was left out.
    """
    from app.cli.plugin_work import told  # noqa: PLC0415  # see above

    lines, fine = told(load_settings())
    for line in lines:
        typer.echo(line)
    if not fine:
        raise typer.Exit(1)


@app.command("enable")
def enable(name: Annotated[str, typer.Argument(help="插件名 · its name")]) -> None:
    """打开插件，失败次数清零 · Switch a plugin on; its failures are counted anew."""
    from app.cli.plugin_work import switch  # noqa: PLC0415  # see above

    switch(load_settings(), name, on=True)
    typer.echo(f"{name}: 已打开 · on")


@app.command("disable")
def disable(name: Annotated[str, typer.Argument(help="插件名 · its name")]) -> None:
    """关闭插件，所有进程在两秒内不再询问它 · Switch a plugin off, in all processes within 2 s."""
    from app.cli.plugin_work import switch  # noqa: PLC0415  # see above

    switch(load_settings(), name, on=False)
    typer.echo(f"{name}: 已关闭 · off")


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="插件名 · its name: a-z 0-9 _")],
    folder: Annotated[
        Path, typer.Option("--dir", help="写在哪个目录下 · the folder it is written below")
    ] = Path(),
) -> None:
    """写出一个能用的插件和它的测试，不覆盖任何文件。

    Write a working plugin with its test; nothing is overwritten.
    """
    from app.cli.scaffold import write_plugin  # noqa: PLC0415  # see above

    written = write_plugin(name, folder)
    typer.echo(f"{written}\n  pip install -e {written} && pytest {written}")
