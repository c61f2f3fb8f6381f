"""`setup account` and `setup token`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer

from app.accounts.errors import NoSuchAccount
from app.accounts.queries import find_by_slug
from app.accounts.service import AccountKeys, AccountSettings
from app.cli.office import Office, in_office
from app.core.errors import AppError
from app.core.ids import AccountId
from app.db.audit import CLI
from app.db.tx import Tx
from app.engines.staff.api_tokens import list_tokens

app = typer.Typer(
    help="登记公众号、访问令牌 · Register accounts and API tokens", no_args_is_help=True
)


class OptionMissing(AppError):
    code = "OPTION_MISSING"
    zh = "新公众号还需要：{options}"
    en = "A new account also needs: {options}"


class TokenNeeds(AppError):
    code = "OPTION_MISSING"
    zh = "新令牌需要 --name 和 --role"
    en = "A new token needs --name and --role"


@app.command("account")
def account(
    slug: Annotated[
        str, typer.Option(help="代号，回调地址的一部分 · part of the callback URL: a-z 0-9 -")
    ],
    name: Annotated[str | None, typer.Option(help="名称 · name people see")] = None,
    kind: Annotated[str | None, typer.Option(help="subscription 订阅号 | service 服务号")] = None,
    verified: Annotated[
        bool | None, typer.Option("--verified/--unverified", help="是否已认证 · verified or not")
    ] = None,
    original_id: Annotated[
        str | None, typer.Option(help="原始 ID gh_…；可省略 · learnt from the first delivery")
    ] = None,
    appid: Annotated[str | None, typer.Option(help="AppID wx…")] = None,
    secret: Annotated[str, typer.Option(help="AppSecret", envvar="GUANXI_SETUP_SECRET")] = "",
    token: Annotated[str, typer.Option(help="令牌 Token", envvar="GUANXI_SETUP_TOKEN")] = "",
    aes_key: Annotated[
        str, typer.Option(help="EncodingAESKey", envvar="GUANXI_SETUP_AES_KEY")
    ] = "",
    mode: Annotated[str | None, typer.Option(help="plain 明文 | compat 兼容 | safe 安全")] = None,
    timezone: Annotated[str | None, typer.Option(help="时区 · such as Asia/Shanghai")] = None,
    contact: Annotated[
        str | None,
        typer.Option(help="需要人工时告诉关注者的联系方式 · what who wants a person is told"),
    ] = None,
    enabled: Annotated[
        bool | None, typer.Option("--enabled/--disabled", help="启用或停用 · switch on or off")
    ] = None,
) -> None:
    """登记公众号；代号已存在时只修改给出的项，旧 AES 密钥会保留为上一个密钥。

    Register an account; of one that exists, change what is given. The AES key in use so far is kept
    as the previous one. Keys can also come from GUANXI_SETUP_SECRET, _TOKEN and _AES_KEY.
    """
    given = {
        "name": name,
        "kind": kind,
        "verified": verified,
        "original_id": original_id,
        "appid": appid,
        "mode": mode,
        "timezone": timezone,
        "contact": contact,
        "enabled": enabled,
    }
    changes = {option: value for option, value in given.items() if value is not None}
    keys = AccountKeys(secret=secret, token=token, aes_key=aes_key)

    async def work(office: Office) -> tuple[bool, str]:
        created = await office.database.transaction(
            lambda tx: _put(tx, office, slug, changes, keys)
        )
        return created, office.settings.public_url

    created, public_url = in_office(work)
    typer.echo(f"{slug}: {'已登记 · registered' if created else '已更新 · updated'}")
    where = public_url or "<GUANXI_PUBLIC_URL>"
    typer.echo(f"回调地址 · callback URL: {where}/wechat/{slug}")


async def _put(
    tx: Tx, office: Office, slug: str, changes: Mapping[str, Any], keys: AccountKeys
) -> bool:
    """True when the account is new."""
    known = await find_by_slug(tx, slug)
    if known is None:
        _require(changes, keys)
        await office.accounts.create(
            tx, slug=slug, settings=AccountSettings(**changes), keys=keys, actor=CLI
        )
        return True
    account_id = AccountId(known.id)
    await office.accounts.rotate_keys(tx, account_id, keys, actor=CLI)
    await office.accounts.update(tx, account_id, changes, actor=CLI)
    return False


def _require(changes: Mapping[str, Any], keys: AccountKeys) -> None:
    missing = [f"--{name}" for name in ("name", "kind", "appid") if name not in changes]
    missing += [f"--{name}" for name in ("secret", "token") if not getattr(keys, name)]
    if missing:
        raise OptionMissing(options=" ".join(missing))


@app.command("token")
def token(
    name: Annotated[str | None, typer.Option(help="用途 · what it is for")] = None,
    role: Annotated[
        str | None, typer.Option(help="owner admin lead agent marketer cashier read-only")
    ] = None,
    account: Annotated[
        list[str] | None,
        typer.Option(help="可见的公众号代号，可重复；省略为全部 · slugs; all if left out"),
    ] = None,
    expires_days: Annotated[int | None, typer.Option(help="有效天数 · days it is valid")] = None,
    listed: Annotated[bool, typer.Option("--list", help="列出令牌 · list the tokens")] = False,
    revoke: Annotated[int | None, typer.Option(help="撤销此编号的令牌 · revoke this one")] = None,
) -> None:
    """发放访问令牌，只显示一次；也可列出或撤销。

    Make an API token, which is shown once on standard output; or list, or revoke.
    """
    if listed:
        in_office(_list)
    elif revoke is not None:
        in_office(lambda office: _revoke(office, revoke))
        typer.echo(f"{revoke}: 已撤销 · revoked")
    elif name is None or role is None:
        raise TokenNeeds
    else:
        secret = in_office(lambda office: _make(office, name, role, account, expires_days))
        typer.echo(secret)
        typer.echo("令牌只显示这一次 · it is not shown again", err=True)


async def _make(
    office: Office,
    name: str,
    role: str,
    slugs: Sequence[str] | None,
    expires_days: int | None,
) -> str:
    async def work(tx: Tx) -> str:
        accounts = [await _id_of(tx, slug) for slug in slugs] if slugs else None
        made = await office.tokens.make(
            tx, name=name, role=role, accounts=accounts, expires_days=expires_days, actor=CLI
        )
        return made.secret

    return await office.database.transaction(work)


async def _id_of(tx: Tx, slug: str) -> AccountId:
    row = await find_by_slug(tx, slug)
    if row is None:
        raise NoSuchAccount(account=slug)
    return AccountId(row.id)


async def _revoke(office: Office, token_id: int) -> None:
    await office.database.transaction(lambda tx: office.tokens.revoke(tx, token_id, actor=CLI))


async def _list(office: Office) -> None:
    for row in await office.database.read(list_tokens):
        state = _state(row, office.clock.now())
        typer.echo(f"{row.id}  {row.role:9}  {state:8}  {row.name}")


def _state(row: Any, now: datetime) -> str:
    if row.revoked_at is not None:
        return "revoked"
    return "expired" if row.expires_at is not None and row.expires_at <= now else "valid"
