"""`python -m app simulator`: WeChat in a box, alone."""

from contextlib import suppress
from pathlib import Path
from socket import socket
from typing import Annotated

import typer
import uvicorn
from fastapi import FastAPI

from app.core.clock import SystemClock
from app.core.log import setup_logging
from app.simulator.app import close_streams, create_simulator, standalone
from app.simulator.sender import Timing


def simulator(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8100,
    product_url: Annotated[
        str, typer.Option(help="Where the product is reached; asked for traces.")
    ] = "",
    trace_token: Annotated[str, typer.Option(help="Read-only API token for traces.")] = "",
    product_time_url: Annotated[str, typer.Option(help="Told the offset when time is moved.")] = "",
    store: Annotated[
        Path | None, typer.Option(help="SQLite file of its own; left out: kept in memory.")
    ] = None,
    deadline: Annotated[
        float, typer.Option(help="Seconds the platform waits for an answer.")
    ] = 5.0,
    spacing: Annotated[float, typer.Option(help="Seconds from one attempt to the next.")] = 5.0,
) -> None:
    """Serves the phones, the platform's API and the simulator's JSON API under /simulator."""
    setup_logging()
    app = create_simulator(
        store=store,
        product_url=product_url,
        trace_token=trace_token,
        product_time_url=product_time_url,
        clock=SystemClock(),
        timing=Timing(deadline=deadline, spacing=spacing),
    )
    typer.echo(f"Phones:       http://{host}:{port}/simulator/")
    typer.echo(f"Platform API: http://{host}:{port}/simulator/platform")
    config = uvicorn.Config(
        standalone(app), host=host, port=port, log_config=None, timeout_graceful_shutdown=2
    )
    with suppress(KeyboardInterrupt):
        _Server(config, app).run()


class _Server(uvicorn.Server):
    """Stops at once although pages are listening."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        close_streams(self._app)
        await super().shutdown(sockets)
