"""The token row in SQL: encrypted, with a lease so that one process asks and others read."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Integer,
    String,
    bindparam,
    case,
    literal_column,
    null,
    or_,
    select,
    update,
)

from app.core.vault import Vault
from app.db.database import Database
from app.db.hot import Hot, upsert
from app.db.tx import Tx
from app.wechat.models import WechatToken
from app.wechat.tokens import StoredToken, TokenState

_ACCOUNT = WechatToken.account_id == bindparam("account", type_=BigInteger())
_MINE = WechatToken.lease_holder == bindparam("me", type_=String())

_READ = Hot(
    select(
        WechatToken.ciphertext,
        WechatToken.expires_at,
        WechatToken.version,
        WechatToken.lease_until,
        WechatToken.lease_holder,
    ).where(_ACCOUNT)
)


def _lease(dialect: str) -> Any:
    statement = upsert(dialect, WechatToken).values(
        account_id=bindparam("account", type_=BigInteger()),
        expires_at=literal_column("0"),
        version=literal_column("0"),
        forced_count=literal_column("0"),
        lease_until=bindparam("until", type_=BigInteger()),
        lease_holder=bindparam("me", type_=String()),
    )
    return statement.on_conflict_do_update(
        index_elements=["account_id"],
        set_={
            "lease_until": statement.excluded.lease_until,
            "lease_holder": statement.excluded.lease_holder,
        },
        where=WechatToken.lease_until <= bindparam("now_", type_=BigInteger()),
    )


_LEASE = Hot(_lease)
_SAVE = Hot(
    update(WechatToken)
    .where(_ACCOUNT)
    .values(
        ciphertext=bindparam("sealed", type_=WechatToken.__table__.c.ciphertext.type),
        expires_at=bindparam("expires", type_=BigInteger()),
        version=WechatToken.version + literal_column("1", Integer),
        lease_until=bindparam("pause", type_=BigInteger()),
        lease_holder=null(),
    )
)
_RELEASE = Hot(
    update(WechatToken)
    .where(_ACCOUNT, _MINE)
    .values(lease_until=bindparam("pause", type_=BigInteger()), lease_holder=null())
)
_DAY = bindparam("day", type_=String())
_FORCED = Hot(
    update(WechatToken)
    .where(
        _ACCOUNT,
        or_(
            WechatToken.forced_on.is_(None),
            WechatToken.forced_on != _DAY,
            WechatToken.forced_count < bindparam("most", type_=Integer()),
        ),
    )
    .values(
        forced_on=_DAY,
        forced_count=case(
            (
                WechatToken.forced_on == _DAY,
                WechatToken.forced_count + literal_column("1", Integer),
            ),
            else_=literal_column("1", Integer),
        ),
    )
)


class SqlTokenStore:
    """`TokenStore` over the table `wechat_token`."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def read(self, account_id: int) -> TokenState:
        async def work(tx: Tx) -> Any:
            return await tx.first(_READ, {"account": account_id})

        row = await self._database.read(work)
        if row is None:
            return TokenState(None, 0, None)
        sealed, expires_at, version, busy_until, holder = row
        token = None
        if sealed is not None:
            plain = self._vault.open(_place(account_id), bytes(sealed))
            token = StoredToken(plain, expires_at, version)
        return TokenState(token, busy_until, holder)

    async def lease(self, account_id: int, holder: str, now: int, until: int) -> bool:
        async def work(tx: Tx) -> int:
            params = {"account": account_id, "me": holder, "now_": now, "until": until}
            return await tx.run(_LEASE, params)

        return await self._database.transaction(work) > 0

    async def save(
        self, account_id: int, holder: str, token: str, expires_at: int, pause_until: int
    ) -> StoredToken:
        params = {
            "account": account_id,
            "sealed": self._vault.seal(_place(account_id), token),
            "expires": expires_at,
            "pause": pause_until,
        }

        async def work(tx: Tx) -> Any:
            await tx.run(_SAVE, params)
            return await tx.first(_READ, {"account": account_id})

        row = await self._database.transaction(work)
        return StoredToken(token, expires_at, row[2])

    async def release(self, account_id: int, holder: str, pause_until: int) -> None:
        async def work(tx: Tx) -> int:
            params = {"account": account_id, "me": holder, "pause": pause_until}
            return await tx.run(_RELEASE, params)

        await self._database.transaction(work)

    async def count_forced(self, account_id: int, day: str, most: int) -> bool:
        async def work(tx: Tx) -> int:
            return await tx.run(_FORCED, {"account": account_id, "day": day, "most": most})

        return await self._database.transaction(work) > 0


def _place(account_id: int) -> str:
    return f"wechat_token/{account_id}/token"
