"""A serving process whose background work has failed."""

import subprocess
import sys

PROGRAM = """
import asyncio, socket, sys
import uvicorn
from contextlib import asynccontextmanager
from fastapi import FastAPI
from app.cli.child import _Uvicorn

@asynccontextmanager
async def lifespan(_):
    async def loop():
        await asyncio.sleep(0.1)
        raise RuntimeError("the loop broke")

    async with asyncio.TaskGroup() as group:
        group.create_task(loop())
        yield

class App(FastAPI):
    async def wind_down(self):
        pass

app = App(lifespan=lifespan)
server = _Uvicorn(uvicorn.Config(app, lifespan="on", log_level="warning"), app)
server.run(sockets=[socket.create_server(("127.0.0.1", 0))])
print(server.started, server.is_hollow())
"""


def test_it_ends_by_itself_so_that_it_can_be_replaced() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.stdout.split() == ["True", "True"], ended.stderr
    assert "the loop broke" in ended.stderr
