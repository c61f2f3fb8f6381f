"""A whole installation in one process, on SQLite in a folder of its own, without any network.

The platform is the simulator. Both talk HTTP to each other, past every socket.
"""

import atexit
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import httpx
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from app.accounts.service import AccountKeys, AccountSettings
from app.core.clock import SystemClock
from app.core.ids import AccountId
from app.core.settings import Settings
from app.db.audit import CLI
from app.db.migrate import upgrade
from app.runtime import Extensions, Runtime, open_runtime
from app.simulator.app import create_simulator, move_time, running
from app.web.webhook import Webhook

SLUG = "shop"
ORIGINAL_ID = "gh_0123456789ab"
APPID = "wx00000000000000aa"
_KEYS = AccountKeys(secret="s" * 32, token="chatToken", aes_key="a" * 43)  # noqa: S106  # of no account
_MEMORY = Path("/dev/shm")  # noqa: S108  # ten times faster than a disk, where there is one


@dataclass(frozen=True, slots=True)
class Installation:
    runtime: Runtime
    clock: SystemClock
    simulator: FastAPI
    account_id: AccountId
    phone: httpx.AsyncClient
    """To the simulator's JSON API, for this account: `followers/…`."""

    def move_time(self, seconds: float) -> None:
        """Both clocks; what signatures and leases go by stays."""
        self.clock.offset += timedelta(seconds=seconds)
        move_time(self.simulator, seconds)


class _Door:
    """The account's server, which does not exist yet when the simulator is made."""

    webhook: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.webhook is None:
            raise RuntimeError("the installation is not open yet")
        await self.webhook(scope, receive, send)


@asynccontextmanager
async def open_installation(
    extensions: Extensions, starts_at: datetime, account: AccountSettings
) -> AsyncIterator[Installation]:
    clock = SystemClock()
    clock.offset = starts_at - clock.real()
    door = _Door()
    simulator = create_simulator(
        store=None,
        product_url="",
        clock=SystemClock(),
        prefix="",
        transport=httpx.ASGITransport(door),
    )
    move_time(simulator, clock.offset.total_seconds())
    with tempfile.TemporaryDirectory(prefix="guanxi-chat-", dir=_folder()) as folder:
        settings = _settings(Path(folder))
        transport = httpx.ASGITransport(simulator)
        async with (
            running(simulator),
            open_runtime(settings, clock, extensions, transport=transport) as runtime,
            httpx.AsyncClient(
                transport=transport, base_url=f"http://wechat/api/accounts/{APPID}/", timeout=120
            ) as phone,
        ):
            account_id = await _register(runtime, phone, account)
            door.webhook = Webhook(
                runtime.accounts, runtime.writer, runtime.deadline, runtime.quarantine, clock
            )
            await runtime.timetable.tick()
            yield Installation(runtime, clock, simulator, account_id, phone)


def _folder() -> str | None:
    return str(_MEMORY) if _MEMORY.is_dir() else None


def _settings(folder: Path) -> Settings:
    """Past the environment. As `web` it claims no jobs by itself: `Chat` runs what is due."""
    shutil.copy(_template(), folder / "chat.db")
    return Settings.model_validate(
        {
            "database_url": f"sqlite:///{folder}/chat.db",
            "data_dir": folder,
            "secret_key": "only-for-tests-and-of-no-account-at-all",
            "wechat_api_base": "http://wechat/platform",
            "role": "web",
        }
    )


@cache
def _template() -> Path:
    """An empty, migrated database; made once in a test run, since that takes half a second."""
    folder = Path(tempfile.mkdtemp(prefix="guanxi-template-", dir=_folder()))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    upgrade(f"sqlite:///{folder}/empty.db")
    return folder / "empty.db"


async def _register(
    runtime: Runtime, phone: httpx.AsyncClient, account: AccountSettings
) -> AccountId:
    """The account on both sides."""
    made = await runtime.database.transaction(
        lambda tx: runtime.account_service.create(
            tx, slug=SLUG, settings=account, keys=_KEYS, actor=CLI
        )
    )
    await runtime.accounts.refresh()
    answer = await phone.post(
        "http://wechat/api/accounts",
        json={
            "appid": APPID,
            "secret": _KEYS.secret,
            "token": _KEYS.token,
            "aes_key": _KEYS.aes_key,
            "mode": account.mode,
            "original_id": ORIGINAL_ID,
            "name": account.name,
            "kind": account.kind,
            "verified": account.verified,
            "url": f"http://shop/wechat/{SLUG}",
            "verify": False,
        },
    )
    answer.raise_for_status()
    return made
