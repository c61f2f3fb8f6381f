"""The platform's two sets of token rules: protocol reference 4.1."""

from typing import Any

from tests.simulator.conftest import Platform, Sim


def code(answer: dict[str, Any]) -> int:
    found: int = answer.get("errcode", 0)
    return found


async def asked(sim: Sim, account: dict[str, Any], **fields: Any) -> dict[str, Any]:
    body = {
        "grant_type": "client_credential",
        "appid": account["appid"],
        "secret": account["secret"],
        **fields,
    }
    return await Platform(sim, account).call("POST", "stable_token", body)


async def classic(sim: Sim, account: dict[str, Any], **query: str) -> dict[str, Any]:
    query = {
        "grant_type": "client_credential",
        "appid": account["appid"],
        "secret": account["secret"],
        **query,
    }
    return await Platform(sim, account).call("GET", "token", **query)


async def works(sim: Sim, account: dict[str, Any], token: str) -> int:
    return code(await Platform(sim, account).call("GET", "getcallbackip", token=token))


class TestStable:
    async def test_the_same_until_five_minutes_before_its_end(self, sim: Sim) -> None:
        account = await sim.account()
        first = await asked(sim, account)
        assert first["expires_in"] == 7200
        sim.clock.advance(seconds=6000)
        again = await asked(sim, account)
        assert again == {"access_token": first["access_token"], "expires_in": 1200}
        sim.clock.advance(seconds=901)
        other = await asked(sim, account)
        assert other["access_token"] != first["access_token"]
        assert await works(sim, account, first["access_token"]) == 0
        sim.clock.advance(seconds=300)
        assert await works(sim, account, first["access_token"]) == 42001
        assert await works(sim, account, other["access_token"]) == 0

    async def test_forced_kills_the_old_one_at_once(self, sim: Sim) -> None:
        account = await sim.account()
        first = await asked(sim, account)
        forced = await asked(sim, account, force_refresh=True)
        assert await works(sim, account, first["access_token"]) == 40001
        assert await works(sim, account, forced["access_token"]) == 0
        assert code(await asked(sim, account, force_refresh=True)) == 45011
        for _ in range(19):
            sim.clock.advance(seconds=31)
            assert code(await asked(sim, account, force_refresh=True)) == 0
        sim.clock.advance(seconds=31)
        assert code(await asked(sim, account, force_refresh=True)) == 45009


class TestClassic:
    async def test_each_call_retires_the_one_before(self, sim: Sim) -> None:
        account = await sim.account()
        first = (await classic(sim, account))["access_token"]
        second = (await classic(sim, account))["access_token"]
        assert [await works(sim, account, token) for token in (first, second)] == [0, 0]
        sim.clock.advance(seconds=301)
        assert [await works(sim, account, token) for token in (first, second)] == [40001, 0]

    async def test_the_two_kinds_leave_each_other_alone(self, sim: Sim) -> None:
        account = await sim.account()
        stable = (await asked(sim, account))["access_token"]
        for _ in range(3):
            await classic(sim, account)
        sim.clock.advance(seconds=400)
        assert await works(sim, account, stable) == 0

    async def test_two_thousand_a_day(self, sim: Sim) -> None:
        account = await sim.account()
        await sim.api("PUT", "faults", {"faults": [{"kind": "quota", "path": "/token"}]})
        assert code(await classic(sim, account)) == 45009


async def test_refusals(sim: Sim) -> None:
    account = await sim.account()
    wrong = [
        ({"grant_type": "password"}, 40002),
        ({"appid": ""}, 41002),
        ({"appid": "wx0"}, 40013),
        ({"secret": ""}, 41004),
        ({"secret": "x"}, 40125),
    ]
    for fields, errcode in wrong:
        assert code(await asked(sim, account, **fields)) == errcode
        assert code(await classic(sim, account, **fields)) == errcode


async def test_bad_tokens(sim: Sim) -> None:
    account = await sim.account()
    assert await works(sim, account, "") == 41001
    assert await works(sim, account, "nonsense") == 40014
    assert await works(sim, account, "SIM_unknown") == 40001


async def test_errors_carry_a_rid(sim: Sim) -> None:
    answer = await Platform(sim, {}).call("GET", "getcallbackip")
    assert answer["errmsg"].startswith("access_token missing rid: ")
    assert [len(part) for part in answer["errmsg"].rpartition(" ")[2].split("-")] == [8, 8, 8]
