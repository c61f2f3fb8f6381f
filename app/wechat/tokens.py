"""Access tokens: kept in a store that all processes share, refreshed by one of them.

`stable_token` in normal mode gives the same token to whoever asks, until five minutes before its
end, and then a new one while the old one still works (protocol reference 4.1). So a lost race is
harmless; the lease only spares calls.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta, timezone
from typing import Protocol

import httpx
from prometheus_client import Counter

from app.core.clock import Clock, to_millis
from app.core.log import get_logger
from app.core.rng import secret_token
from app.wechat.errors import WechatError
from app.wechat.failures import NotReached, OutcomeUnknown, TokenUnavailable
from app.wechat.http import call

FRESH_MS = 10 * 60_000
"""With less than ten minutes left a token is asked for again."""
LEASE_MS = 15_000
"""Longer than one call may take."""
PAUSE_MS = 30_000
"""After an answer that brought nothing new."""
FAILED_PAUSE_MS = 2_000
FORCED_A_DAY = 10
"""Of the 20 that the platform allows; the rest is for the operator."""
WAIT_SECONDS = 5.0
POLL_SECONDS = 0.05

_REQUESTS = Counter("guanxi_token_requests_total", "Calls for an access token", ["mode", "outcome"])
_BEIJING = timezone(timedelta(hours=8))
_LOG = get_logger(__name__)


class ApiCredentials(Protocol):
    @property
    def account_id(self) -> int: ...
    @property
    def appid(self) -> str: ...
    @property
    def secret(self) -> str: ...


@dataclass(frozen=True, slots=True)
class AccountKeys:
    """`ApiCredentials` as a plain value."""

    account_id: int
    appid: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredToken:
    token: str = field(repr=False)
    expires_at: int
    """Milliseconds."""
    version: int


@dataclass(frozen=True, slots=True)
class TokenState:
    """The stored row: the last token, and until when nobody else should ask."""

    token: StoredToken | None
    busy_until: int
    holder: str | None
    """Who is asking now; None while `busy_until` is only a pause."""


class TokenStore(Protocol):
    async def read(self, account_id: int) -> TokenState: ...

    async def lease(self, account_id: int, holder: str, now: int, until: int) -> bool:
        """Takes the right to ask, unless somebody has it; one of many who try gets it."""
        ...

    async def save(
        self, account_id: int, holder: str, token: str, expires_at: int, pause_until: int
    ) -> StoredToken:
        """Stores what the platform gave and ends the lease."""
        ...

    async def release(self, account_id: int, holder: str, pause_until: int) -> None: ...

    async def count_forced(self, account_id: int, day: str, most: int) -> bool:
        """Counts one forced refresh; false when there were `most` on that day."""
        ...


class Tokens:
    """One per process. Waiting callers of an account share one look at the store."""

    def __init__(self, http: httpx.AsyncClient, base: str, store: TokenStore, clock: Clock) -> None:
        self._http = http
        self._base = base.rstrip("/")
        self._store = store
        self._clock = clock
        self._me = secret_token(12)
        self._known: dict[int, StoredToken] = {}
        self._locks: dict[int, asyncio.Lock] = {}
        self._look_again: dict[int, int] = {}

    async def get(self, account: ApiCredentials) -> str:
        """A valid token; raises `TokenUnavailable`, or the failure of asking for one."""
        known = self._usable(account.account_id)
        if known is not None:
            return known
        async with self._lock(account.account_id):
            known = self._usable(account.account_id)
            return known if known is not None else await self._settle(account, refused=None)

    async def replace(self, account: ApiCredentials, refused: str) -> str:
        """Another token, after the platform refused this one (40001, 40014, 42001).

        The store is read first: another process may have replaced it. Then the platform is asked in
        normal mode, and forced only if it gives the very token it refused, at most `FORCED_A_DAY`
        times a day. Forcing kills the old token at once, for every program that uses it.
        """
        async with self._lock(account.account_id):
            known = self._known.get(account.account_id)
            if known is not None and known.token != refused:
                return known.token
            return await self._settle(account, refused)

    def _lock(self, account_id: int) -> asyncio.Lock:
        return self._locks.setdefault(account_id, asyncio.Lock())

    def _now(self) -> int:
        return to_millis(self._clock.now())

    def _usable(self, account_id: int) -> str | None:
        """The token in memory, unless it is old enough to look whether there is a newer one."""
        known, now = self._known.get(account_id), self._now()
        if known is None or known.expires_at <= now:
            return None
        if known.expires_at - now > FRESH_MS or self._look_again.get(account_id, 0) > now:
            return known.token
        return None

    def _remember(self, account_id: int, stored: StoredToken) -> str:
        self._known[account_id] = stored
        self._look_again[account_id] = self._now() + PAUSE_MS
        return stored.token

    async def _settle(self, account: ApiCredentials, refused: str | None) -> str:
        """Reads the store until it has a token to use, or until it is ours to ask for one."""
        waited = 0.0
        while True:
            state = await self._store.read(account.account_id)
            now = self._now()
            usable = _usable_at(state.token, now, refused)
            if usable is not None and usable.expires_at - now > FRESH_MS:
                return self._remember(account.account_id, usable)
            until = now + LEASE_MS
            if await self._store.lease(account.account_id, self._me, now, until):
                return await self._with_lease(account, refused)
            if usable is not None:  # short-lived, but somebody sees to it
                return self._remember(account.account_id, usable)
            if state.busy_until > now and state.holder is None:
                raise TokenUnavailable(reason="asking for one has just failed")
            if waited >= WAIT_SECONDS:
                raise TokenUnavailable(reason="another process is still asking for one")
            await asyncio.sleep(POLL_SECONDS)
            waited += POLL_SECONDS

    async def _with_lease(self, account: ApiCredentials, refused: str | None) -> str:
        """Looks once more, since somebody may have finished between the read and the lease."""
        usable = _usable_at(
            (await self._store.read(account.account_id)).token, self._now(), refused
        )
        if usable is not None and usable.expires_at - self._now() > FRESH_MS:
            await self._store.release(account.account_id, self._me, self._now())
            return self._remember(account.account_id, usable)
        return await self._ask(account, usable, refused)

    async def _ask(
        self, account: ApiCredentials, fallback: StoredToken | None, refused: str | None
    ) -> str:
        """Asks the platform, holding the lease. A token that still works outlives a failure."""
        try:
            token, expires_at = await self._request(account, force=False)
            if token == refused:
                token, expires_at = await self._forced(account)
        except (WechatError, NotReached, OutcomeUnknown, TokenUnavailable) as error:
            await self._give_up(account.account_id)
            if fallback is None:
                raise
            _LOG.warning("token.refresh_failed", account=account.account_id, error=str(error))
            return self._remember(account.account_id, fallback)
        except BaseException:
            await self._give_up(account.account_id)
            raise
        now = self._now()
        pause = now + PAUSE_MS if expires_at - now <= FRESH_MS else now
        stored = await self._store.save(account.account_id, self._me, token, expires_at, pause)
        return self._remember(account.account_id, stored)

    async def _give_up(self, account_id: int) -> None:
        await self._store.release(account_id, self._me, self._now() + FAILED_PAUSE_MS)

    async def _forced(self, account: ApiCredentials) -> tuple[str, int]:
        day = beijing_day(self._clock)
        if not await self._store.count_forced(account.account_id, day, FORCED_A_DAY):
            raise TokenUnavailable(
                reason=f"the token is refused, and {FORCED_A_DAY} forced refreshes were made today"
            )
        return await self._request(account, force=True)

    async def _request(self, account: ApiCredentials, *, force: bool) -> tuple[str, int]:
        mode = "forced" if force else "normal"
        body = {
            "grant_type": "client_credential",
            "appid": account.appid,
            "secret": account.secret,
            "force_refresh": force,
        }
        asked_at = self._now()
        try:
            answer = await call(self._http, "POST", f"{self._base}/cgi-bin/stable_token", body=body)
            token, seconds = str(answer["access_token"]), int(answer["expires_in"])
        except (KeyError, TypeError, ValueError) as error:
            _REQUESTS.labels(mode, "not_understood").inc()
            raise OutcomeUnknown(reason="the answer holds no token") from error
        except Exception:
            _REQUESTS.labels(mode, "failed").inc()
            raise
        _REQUESTS.labels(mode, "given").inc()
        _LOG.info("token.given", account=account.account_id, mode=mode, expires_in=seconds)
        return token, asked_at + seconds * 1000


def _usable_at(stored: StoredToken | None, now: int, refused: str | None) -> StoredToken | None:
    """The token, when it is valid at `now` and not the one that was refused."""
    fit = stored is not None and stored.expires_at > now and stored.token != refused
    return stored if fit else None


def beijing_day(clock: Clock) -> str:
    """The platform counts its daily limits by Beijing's calendar."""
    return clock.now().astimezone(_BEIJING).date().isoformat()
