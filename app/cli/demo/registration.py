"""What the product must know of the sample shop before its server starts."""

from dataclasses import dataclass, field

from app.accounts.queries import find_by_slug, sealed_secrets
from app.accounts.service import AccountKeys, AccountSettings, secret_place
from app.cli.demo import shop
from app.cli.office import Office, open_office
from app.core.ids import AccountId
from app.core.rng import secret_bytes
from app.core.settings import Settings
from app.db.audit import CLI
from app.db.tx import Tx
from app.engines.staff.api_tokens import list_tokens
from app.engines.staff.permissions import Role
from app.simulator.sender import new_aes_key

_TOKEN_NAME = "demo: simulator"  # noqa: S105  # a name, not a secret


@dataclass(frozen=True, slots=True)
class Registration:
    """The shop's account as the product has it, and the token that traces are asked with."""

    account_id: AccountId
    appid: str
    original_id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)
    aes_key: str = field(repr=False)
    trace_token: str = field(repr=False)


async def register(settings: Settings) -> Registration:
    """Registers the shop if it is not there yet, with new random keys, and makes a trace token.

    A token is shown only once, so each start makes its own and withdraws the one before.
    """
    async with open_office(settings) as office:
        return await office.database.transaction(lambda tx: _register(tx, office))


async def _register(tx: Tx, office: Office) -> Registration:
    if await find_by_slug(tx, shop.SLUG) is None:
        await _create(tx, office)
    row = await find_by_slug(tx, shop.SLUG)
    account_id = AccountId(row.id)
    keys = {
        name: office.vault.open(secret_place(account_id, name), sealed)
        for name, sealed in (await sealed_secrets(tx, account_id)).items()
    }
    return Registration(
        account_id=account_id,
        appid=row.appid,
        original_id=row.original_id,
        secret=keys["secret"],
        token=keys["token"],
        aes_key=keys["aes_key"],
        trace_token=await _trace_token(tx, office, account_id),
    )


async def _create(tx: Tx, office: Office) -> None:
    settings = AccountSettings(
        name=shop.NAME,
        kind="service",
        verified=True,
        original_id=f"gh_{secret_bytes(6).hex()}",
        appid=f"wx{secret_bytes(8).hex()}",
        mode="safe",
        contact=shop.CONTACT,
    )
    keys = AccountKeys(
        secret=secret_bytes(16).hex(), token=secret_bytes(10).hex(), aes_key=new_aes_key()
    )
    await office.accounts.create(tx, slug=shop.SLUG, settings=settings, keys=keys, actor=CLI)


async def _trace_token(tx: Tx, office: Office, account_id: AccountId) -> str:
    for row in await list_tokens(tx):
        if row.name == _TOKEN_NAME and row.revoked_at is None:
            await office.tokens.revoke(tx, row.id, actor=CLI)
    made = await office.tokens.make(
        tx, name=_TOKEN_NAME, role=Role.READ_ONLY, accounts=[account_id], actor=CLI
    )
    return made.secret
