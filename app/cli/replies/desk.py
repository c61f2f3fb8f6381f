"""What the `replies` commands work with: one account's book, in an open office."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import typer

from app.accounts.errors import NoSuchAccount
from app.accounts.queries import find_by_slug
from app.cli.office import Office, in_office
from app.core.actions import Action, ActionRegistry
from app.core.ids import AccountId
from app.db.audit import CLI
from app.db.events import Events
from app.engines.replies.actions import register
from app.engines.replies.book import Book
from app.engines.replies.book_plan import Plan
from app.engines.replies.history import Source
from app.engines.replies.imports import Imports
from app.engines.replies.service import Replies
from app.engines.support.actions import HandOff
from app.plugins.finding import Found, find_plugins

T = TypeVar("T")
Slug = Annotated[str, typer.Option("--account", help="公众号代号 · the account's slug")]
Apply = Annotated[
    bool,
    typer.Option(
        "--apply",
        "--yes",
        help="真正执行；不给时只显示计划 · do it; without, only the plan is shown",
    ),
]
Expect = Annotated[
    int | None,
    typer.Option(min=0, help="所依据的版本，已变化则拒绝 · refuse when the version is another"),
]
Note = Annotated[str, typer.Option(help="版本备注 · kept with the version")]


@dataclass(frozen=True, slots=True)
class Desk:
    """One account's book."""

    office: Office
    imports: Imports
    account_id: AccountId

    async def apply(self, plan: Plan, source: Source, note: str) -> int:
        """The version of the book then. A running server follows within two seconds."""
        return await self.office.database.transaction(
            lambda tx: self.imports.apply(tx, CLI, self.account_id, plan, source=source, note=note)
        )


def at_desk(slug: str, work: Callable[[Desk], Coroutine[Any, Any, T]]) -> T:
    """Runs `work` with the account's book. Raises `NoSuchAccount`."""

    async def whole(office: Office) -> T:
        row = await office.database.read(lambda tx: find_by_slug(tx, slug))
        if row is None:
            raise NoSuchAccount(account=slug)
        imports = Imports(office.database, _replies(office))
        return await work(Desk(office, imports, AccountId(row.id)))

    return in_office(whole)


def other_actions(plugins: Found) -> list[type[Action]]:
    """What answers may do beside the actions of rules: hand over, and what plugins add."""
    return [HandOff, *(action for one in plugins.loaded for action in one.plugin.actions)]


def _replies(office: Office) -> Replies:
    actions = ActionRegistry(other_actions(find_plugins(office.settings.plugin_paths)))
    register(actions, Book(office.database, actions, office.clock))
    return Replies(office.ids, office.clock, actions, Events(office.clock), office.audit)
