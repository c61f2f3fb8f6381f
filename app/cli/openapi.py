"""`openapi`: the API document."""

from pathlib import Path
from typing import Annotated

import orjson
import typer

from app.cli.complaints import load_settings


def openapi(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="写入文件 · write to this file")
    ] = None,
) -> None:
    """输出接口文档 · Print the OpenAPI document; needs no database."""
    from app.main import create_app  # noqa: PLC0415  # a second that no other command should take

    document = orjson.dumps(create_app(load_settings()).openapi(), option=orjson.OPT_INDENT_2)
    if output is None:
        typer.echo(document.decode())
    else:
        output.write_bytes(document + b"\n")
