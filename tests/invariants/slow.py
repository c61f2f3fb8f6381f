"""A serving process whose handlers are slow, stuck or hold locks: `python -m tests.invariants.slow`."""

import argparse
import asyncio
import signal
import socket
import sys
import time

import psycopg
import uvicorn

from app.cli.supervisor import Supervisor
from app.conversation.apart import Context
from app.conversation.filters import Keyword, Pattern
from app.conversation.router import Router
from app.core.decisions import Decision, Snapshot
from app.core.log import get_logger, setup_logging
from app.core.replies import TextReply
from app.core.settings import Settings
from app.db.tx import Tx
from app.main import create_app
from app.runtime import Extensions, open_runtime
from tests.conftest import KEY

FOREVER = 600.0


def router(url: str, seconds: float) -> Router:
    made = Router("slow")

    @made.apart(Keyword("sleep"))
    async def sleeper(ctx: Context) -> TextReply:
        await asyncio.sleep(seconds)
        return TextReply("slept")

    @made.apart(Keyword("transaction"))
    async def holder(ctx: Context) -> TextReply:
        """Would hold its follower's lock for as long as it sleeps."""

        async def work(tx: Tx) -> None:
            await asyncio.sleep(seconds)

        await ctx.transaction(work)
        return TextReply("never said")

    @made.apart(Keyword("lock"))
    async def locker(ctx: Context) -> TextReply:
        """Goes round the house and locks its follower's row by a connection of its own."""
        async with await psycopg.AsyncConnection.connect(url) as own:
            await own.execute("SELECT id FROM follower WHERE id = %s FOR UPDATE", [ctx.follower.id])
            await asyncio.sleep(seconds)
        return TextReply("unlocked")

    @made.apart(Keyword("block"))
    async def blocker(ctx: Context) -> TextReply:
        time.sleep(FOREVER)  # noqa: ASYNC251  # what nobody should do
        return TextReply("never said")

    @made.decide(Keyword("stuck"))
    def stuck(snap: Snapshot) -> Decision:
        time.sleep(FOREVER)
        return Decision()

    @made.decide(Pattern("^quick"))
    def quick(snap: Snapshot) -> Decision:
        return Decision.say(TextReply(f"answer to {snap.incoming.text}"))

    return made


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--api", default="http://127.0.0.1:9")
    parser.add_argument("--folder", required=True)
    parser.add_argument("--role", default="all")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--blocked-seconds", type=float, default=15.0)
    parser.add_argument("--supervised", action="store_true")
    given = parser.parse_args()
    setup_logging("json", "info")
    if given.supervised:
        child = [argument for argument in sys.argv[1:] if argument != "--supervised"]
        Supervisor([sys.executable, "-m", "tests.invariants.slow", *child], 1).run()
        return
    settings = Settings.model_validate(
        {
            "database_url": given.url,
            "secret_key": KEY,
            "data_dir": given.folder,
            "wechat_api_base": given.api,
            "role": given.role,
            "blocked_seconds": given.blocked_seconds,
            "database_pool_size": 5,
        }
    )
    extensions = Extensions(routers=[router(given.url, given.seconds)])
    if given.role == "worker":
        asyncio.run(work(settings, extensions))
        return
    app = create_app(settings, extensions=extensions)
    with socket.create_server(("127.0.0.1", given.port)) as listening:
        config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=7)
        uvicorn.Server(config).run(sockets=[listening])


async def work(settings: Settings, extensions: Extensions) -> None:
    """The worker alone, as `app.cli.work` runs it."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    async with open_runtime(settings, extensions=extensions):
        get_logger(__name__).info("work.started")
        await told.wait()


if __name__ == "__main__":
    main()
