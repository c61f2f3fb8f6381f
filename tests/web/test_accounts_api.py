import httpx

from tests.web.conftest import Make, MakeToken


async def test_who_sees_one_account_gets_that_one(
    client: httpx.AsyncClient, account: Make, bearer: MakeToken
) -> None:
    await account("cafe")
    shop = await account("shop", kind="subscription", verified=False)
    mine = await client.get("/api/v1/accounts", headers=await bearer("read-only", [shop]))
    (found,) = mine.json()["items"]
    assert (found["id"], found["slug"]) == (str(shop), "shop")
    assert found["may_send"] is False
    assert "customer_messages" not in found["capabilities"]
    every = await client.get("/api/v1/accounts", headers=await bearer())
    assert [item["slug"] for item in every.json()["items"]] == ["cafe", "shop"]
    assert "tok123" not in every.text


async def test_me_says_what_the_token_is_good_for(
    client: httpx.AsyncClient, bearer: MakeToken
) -> None:
    answer = await client.get("/api/v1/me", headers=await bearer("cashier"))
    assert answer.json() == {"name": "test", "role": "cashier", "rights": ["accounts.read"]}
