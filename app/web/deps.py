"""What routes ask for: who calls, for which account, and a transaction with idempotency.

@router.post("/rules", status_code=201)
async def create_rule(
    body: NewRule,
    account: Annotated[LiveAccount, Depends(account)],
    caller: Annotated[Caller, needs("replies.write")],
    write: Annotated[Write, Depends(writes)],
) -> Response:
    return await write(lambda tx: …, status=201)
"""

import hashlib
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from fastapi.security import HTTPBearer
from starlette.responses import Response

from app.accounts.errors import NoSuchAccount
from app.accounts.registry import LiveAccount
from app.core.errors import AppError, NotAllowed, NotSignedIn
from app.core.ids import AccountId
from app.db.audit import Actor
from app.db.tx import Tx
from app.engines.staff.api_tokens import Access
from app.engines.staff.permissions import RIGHTS, Role, rights_of
from app.runtime import Runtime
from app.web.answers import encoded
from app.web.idempotency import Stored, once

_ACCOUNT_HELP = "The account's slug; may be left out by who sees exactly one."
_KEY_HELP = "8 to 128 of A-Z, a-z, 0-9, - and _; the call takes effect once, for 48 hours."
_KEY = re.compile(r"[A-Za-z0-9_-]{8,128}")
_BEARER = HTTPBearer(auto_error=False, description="`Authorization: Bearer gx_…`")


class AccountRequired(AppError):
    code = "ACCOUNT_REQUIRED"
    status = 400
    zh = "请用请求头 X-Guanxi-Account 指明公众号（可用：{known}）"
    en = "Name the account in the header X-Guanxi-Account (yours: {known})"


class BadIdempotencyKey(AppError):
    code = "BAD_IDEMPOTENCY_KEY"
    status = 400
    zh = "Idempotency-Key 须为 8 到 128 个字母、数字、连字符或下划线"
    en = "Idempotency-Key must have 8 to 128 of A-Z, a-z, 0-9, - and _"


class IdempotencyKeyRequired(AppError):
    code = "IDEMPOTENCY_KEY_REQUIRED"
    status = 400
    zh = "此操作需要请求头 Idempotency-Key"
    en = "This call needs the header Idempotency-Key"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls the API."""

    name: str
    role: Role
    rights: frozenset[str]
    accounts: frozenset[AccountId] | None
    """`None`: every account."""
    actor: Actor

    def may(self, right: str) -> bool:
        return right in self.rights

    def sees(self, account_id: AccountId) -> bool:
        return self.accounts is None or account_id in self.accounts


def services(request: Request) -> Runtime:
    """The program behind the doors."""
    runtime: Runtime = request.app.state.runtime
    return runtime


async def caller(request: Request, _: Annotated[object, Depends(_BEARER)] = None) -> Caller:
    """Who sent the bearer token. Raises `NotSignedIn` when it is missing or worth nothing."""
    scheme, _space, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise NotSignedIn
    access = await services(request).tokens.verify(secret.strip())
    if access is None:
        raise NotSignedIn
    return _caller(request, access)


def _caller(request: Request, access: Access) -> Caller:
    return Caller(
        name=access.name,
        role=access.role,
        rights=rights_of(access.role),
        accounts=access.accounts,
        actor=Actor(
            f"token:{access.token_id}",
            ip=request.client.host if request.client else None,
            request_id=getattr(request.state, "request_id", None),
        ),
    )


def needs(right: str) -> Any:
    """A dependency that gives the caller, or raises `NotAllowed` without this right."""
    if right not in RIGHTS:
        raise ValueError(f"unknown right {right!r}")

    async def allowed(who: Annotated[Caller, Depends(caller)]) -> Caller:
        if not who.may(right):
            raise NotAllowed(permission=right)
        return who

    return Depends(allowed)


async def account(
    request: Request,
    who: Annotated[Caller, Depends(caller)],
    x_guanxi_account: Annotated[str | None, Header(description=_ACCOUNT_HELP)] = None,
) -> LiveAccount:
    """The account named by `X-Guanxi-Account`, or the only one the caller may see.

    Another's account is as unknown as one that does not exist: `NoSuchAccount`.
    """
    registry = services(request).accounts
    if x_guanxi_account is not None:
        named = registry.by_slug(x_guanxi_account)
        if named is None or not who.sees(named.id):
            raise NoSuchAccount(account=x_guanxi_account[:40])
        return named
    visible = [found for found in registry.all() if who.sees(found.id)]
    if len(visible) != 1:
        raise AccountRequired(known=", ".join(found.slug for found in visible))
    return visible[0]


class Write:
    """Runs a use case in one transaction, once per `Idempotency-Key`."""

    def __init__(self, request: Request, who: Caller, key: str | None) -> None:
        self._request = request
        self._who = who
        self._given = key

    async def __call__(
        self,
        work: Callable[[Tx], Coroutine[Any, Any, Any]],
        *,
        status: int = 200,
        account_id: int = 0,
        key_required: bool = False,
    ) -> Response:
        """The answer to `work(tx)`: a model, JSON, or None for no body.

        `work` may run again after a conflict, so it has no effect but through `tx`. With a key that
        was used before, the stored answer comes back with `Idempotent-Replayed: true`.
        """
        database = services(self._request).database
        key = self._key(required=key_required)

        async def whole(tx: Tx) -> tuple[Stored, bool]:
            async def answer() -> Stored:
                body = await work(tx)
                return Stored(status, "" if body is None else encoded(body).decode())

            if key is None:
                return await answer(), False
            moment = services(self._request).clock.now()
            return await once(tx, key, account_id, request_hash, moment, answer)

        request_hash = await self._hash()
        stored, replayed = await database.transaction(whole)
        headers = {"Idempotent-Replayed": "true"} if replayed else None
        media = "application/json" if stored.body else None
        return Response(stored.body, stored.status, headers, media)

    def _key(self, *, required: bool) -> str | None:
        """`a:{actor}:{route}:{key}`; the route as a digest, so that every key fits its column."""
        given = self._given
        if given is None:
            if required:
                raise IdempotencyKeyRequired
            return None
        if not _KEY.fullmatch(given):
            raise BadIdempotencyKey
        route = getattr(self._request.scope.get("route"), "path", self._request.url.path)
        digest = hashlib.sha256(f"{self._request.method} {route}".encode()).hexdigest()[:16]
        return f"a:{self._who.actor.name}:{digest}:{given}"

    async def _hash(self) -> str:
        url = self._request.url
        target = f"{self._request.method} {url.path}?{url.query}\n"
        return hashlib.sha256(target.encode() + await self._request.body()).hexdigest()


async def writes(
    request: Request,
    who: Annotated[Caller, Depends(caller)],
    idempotency_key: Annotated[str | None, Header(description=_KEY_HELP)] = None,
) -> Write:
    """The dependency that gives a `Write`."""
    return Write(request, who, idempotency_key)
