"""`replies conflicts`: what an account answers, looked at from the command line."""

import typer

from app.accounts.errors import NoSuchAccount
from app.accounts.queries import find_by_slug
from app.cli.office import Office, in_office
from app.cli.replies.desk import Slug
from app.cli.replies.tables import printable
from app.core.ids import AccountId
from app.db.tx import Tx
from app.engines.replies.compiled import Stored, compile_words
from app.engines.replies.conflicts import Finding, find_conflicts
from app.engines.replies.queries import read_stored


def conflicts(account: Slug) -> None:
    """列出互相冲突的规则：永远不会生效的、同优先级同词的、盖住其他规则的。

    List rules and words that can never win, that tie, and that swallow others.
    """
    found = in_office(lambda office: _conflicts(office, account))
    for one in found:
        typer.echo(f"{one.kind.value:16} {printable(one.say('zh'))}")
        typer.echo(f"{'':16} {printable(one.say('en'))}")
    typer.echo(f"{len(found)} 处 · findings" if found else "没有冲突 · no conflicts")


async def _conflicts(office: Office, slug: str) -> list[Finding]:
    return find_conflicts(compile_words(await office.database.read(lambda tx: _stored(tx, slug))))


async def _stored(tx: Tx, slug: str) -> Stored:
    row = await find_by_slug(tx, slug)
    if row is None:
        raise NoSuchAccount(account=slug)
    return await read_stored(tx, AccountId(row.id), 0)
