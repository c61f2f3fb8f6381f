"""Tokens and housekeeping."""

from typing import Any

from app.core.errors import NotFound
from app.simulator import quotas, tokens
from app.simulator.model import Account
from app.simulator.platform.call import OK, Answer, ApiError, Call, Endpoint, parse_json
from app.simulator.signing import same

_GRANT = "client_credential"


def named_account(call: Call, appid: str) -> Account:
    """Raises 41002 without an appid, 40013 for one nobody has."""
    if not appid:
        raise ApiError(41002)
    try:
        return call.world.account(appid)
    except NotFound as error:
        raise ApiError(40013) from error


def _authenticated(call: Call, fields: dict[str, str]) -> Account:
    if fields["grant_type"] != _GRANT:
        raise ApiError(40002)
    account = named_account(call, fields["appid"])
    if not fields["secret"]:
        raise ApiError(41004)
    if not same(fields["secret"], account.secret):
        raise ApiError(40125)
    return account


def _spend(call: Call, account: Account, name: str) -> None:
    code = quotas.spend(call.world, account.appid, name)
    if code:
        raise ApiError(code)


async def token(call: Call) -> Answer:
    fields = {name: call.query(name) for name in ("grant_type", "appid", "secret")}
    account = _authenticated(call, fields)
    _spend(call, account, "token")
    return _told(tokens.classic(call.world, account))


async def stable_token(call: Call) -> Answer:
    data = parse_json(call.raw)
    fields = {name: str(data.get(name, "")) for name in ("grant_type", "appid", "secret")}
    account = _authenticated(call, fields)
    _spend(call, account, "stable_token")
    if data.get("force_refresh") is not True:
        return _told(tokens.stable(call.world, account))
    forced = tokens.force(call.world, account)
    if isinstance(forced, int):
        raise ApiError(forced)
    return _told(forced)


def _told(issued: tokens.Token) -> dict[str, Any]:
    return {"access_token": issued.value, "expires_in": issued.expires_in}


async def addresses(_: Call) -> Answer:
    return {"ip_list": ["127.0.0.1"]}


async def clear_quota(call: Call) -> Answer:
    if call.data().get("appid") != call.account.appid:
        raise ApiError(40013)
    code = quotas.reset(call.world, call.account.appid)
    if code:
        raise ApiError(code)
    return OK


async def quota_get(call: Call) -> Answer:
    name = str(call.data().get("cgi_path", "")).removeprefix("/cgi-bin/")
    limit = quotas.DAILY.get(name)
    if limit is None:
        raise ApiError(40035, "cgi_path")
    used = quotas.used(call.world, call.account.appid, name)
    quota = {"daily_limit": limit, "used": used, "remain": max(0, limit - used)}
    return {**OK, "quota": quota}


async def callback_check(call: Call) -> Answer:
    data = call.data()
    if not call.account.url:
        raise ApiError(40201)
    if data.get("action") not in ("dns", "ping", "all"):
        raise ApiError(40202)
    if data.get("check_operator", "DEFAULT") not in ("CHINANET", "UNICOM", "CAP", "DEFAULT"):
        raise ApiError(40203)
    return {
        "dns": [{"ip": "127.0.0.1", "real_operator": "DEFAULT"}],
        "ping": [
            {"ip": "127.0.0.1", "from_operator": "DEFAULT", "package_loss": "0%", "time": "1ms"}
        ],
    }


ENDPOINTS = (
    Endpoint("token", "GET", token, token=False),
    Endpoint("stable_token", "POST", stable_token, token=False),
    Endpoint("getcallbackip", "GET", addresses),
    Endpoint("get_api_domain_ip", "GET", addresses),
    Endpoint("clear_quota", "POST", clear_quota),
    Endpoint("openapi/quota/get", "POST", quota_get),
    Endpoint("callback/check", "POST", callback_check),
)
