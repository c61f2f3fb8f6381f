"""The databases that are measured: fresh, migrated, with the shop in them; really on disk."""

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

from app.accounts.service import AccountKeys, AccountSettings
from app.core.settings import Settings
from app.db.audit import SYSTEM
from app.db.migrate import upgrade
from app.db.tx import Tx
from app.engines.replies.inputs import RuleInput
from app.engines.replies.matcher import RuleKind
from app.runtime import open_runtime
from tests.bench import shop
from tests.bench.postgres import PostgresServer, analyse

SQLITE, POSTGRES = "SQLite", "PostgreSQL"
_STEP = 500
"""Rules given to the service at a time."""


@dataclass(frozen=True, slots=True)
class Shop:
    """What a fresh database contains."""

    mode: str = "plain"
    rules: int = 10


class Databases:
    """Makes databases under `folder`; PostgreSQL starts at its first use."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._templates: dict[tuple[str, Shop], str] = {}
        self._count = 0
        self._server = PostgresServer(folder / "pg")

    def fresh(self, kind: str, contents: Shop) -> str:
        """The URL of a database of its own. Nobody may be connected to an older one's template."""
        template = self._templates.get((kind, contents))
        if template is None:
            template = self._templates[kind, contents] = self._empty(kind)
            upgrade(template)
            asyncio.run(furnish(template, contents))
            analyse(template)
        return self._copy(kind, template)

    def drop(self, url: str) -> None:
        """Frees what a measured database took; it can be gigabytes."""
        if url.startswith("sqlite"):
            path = Path(url.removeprefix("sqlite:///"))
            for file in path.parent.glob(f"{path.name}*"):
                file.unlink()
        else:
            self._server.admin(f'DROP DATABASE "{_name(url)}" WITH (FORCE)')

    def close(self) -> None:
        self._server.close()

    def cpu_seconds(self) -> float:
        """CPU time of PostgreSQL's living processes so far."""
        return self._server.cpu_seconds()

    def version(self, kind: str) -> str:
        """Number of the database's release."""
        if kind == SQLITE:
            import sqlite3  # noqa: PLC0415

            return sqlite3.sqlite_version
        return str(self._server.ask("SHOW server_version")).partition(" ")[0]

    def _empty(self, kind: str) -> str:
        self._count += 1
        if kind == SQLITE:
            return f"sqlite:///{self._folder}/t{self._count}.db"
        self._server.admin(f"CREATE DATABASE t{self._count}")
        return self._server.url(f"t{self._count}")

    def _copy(self, kind: str, template: str) -> str:
        self._count += 1
        name = f"m{self._count}"
        if kind == SQLITE:
            shutil.copy(template.removeprefix("sqlite:///"), self._folder / f"{name}.db")
            return f"sqlite:///{self._folder}/{name}.db"
        self._server.admin(f'CREATE DATABASE {name} TEMPLATE "{_name(template)}"')
        return self._server.url(name)


def _name(url: str) -> str:
    return url.partition("?")[0].rsplit("/", 1)[1]


async def furnish(url: str, contents: Shop) -> None:
    """The account and its rules, made by the services that `setup` and the API use."""
    settings = Settings.model_validate({"database_url": url, "secret_key": shop.SECRET_KEY})
    async with open_runtime(settings) as runtime:
        account = AccountSettings(
            name="基准店",
            kind="service",
            appid=shop.APPID,
            verified=True,
            original_id=shop.ORIGINAL_ID,
            mode=contents.mode,
        )
        keys = AccountKeys(secret=shop.SECRET, token=shop.TOKEN, aes_key=shop.AES_KEY)
        rules = [_rule(rule) for rule in shop.rules(contents.rules)]

        async def work(tx: Tx) -> None:
            account_id = await runtime.account_service.create(
                tx, slug=shop.SLUG, settings=account, keys=keys, actor=SYSTEM
            )
            for start in range(0, len(rules), _STEP):
                step = rules[start : start + _STEP]
                await runtime.replies.import_many(tx, SYSTEM, account_id, rules=step)

        await runtime.database.transaction(work)


def _rule(rule: shop.Rule) -> RuleInput:
    answer = {"do": "reply", "with": {"kind": "text", "text": rule.answer}}
    return RuleInput(
        name=rule.name, kind=RuleKind(rule.kind), words=[rule.word], answers=[[answer]]
    )
