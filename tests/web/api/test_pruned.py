"""A message that was thrown away by policy is plainly not there any more."""

import httpx
import pytest

from app.core.clock import FakeClock
from app.core.settings import Settings
from app.db.wake import listen_url
from app.delivery.upkeep import Dropped
from app.engines.support.keeping import KeepMessages
from app.runtime import Runtime
from tests.shop import add_account
from tests.web.conftest import MakeToken
from tests.wire import Sender, openid


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Without a worker, whose own maintenance would be due when the clock moves."""
    return settings.model_copy(update={"role": "web"})


@pytest.mark.parametrize("days_later", [29, 31])
async def test_its_trace_is_not_found(
    client: httpx.AsyncClient,
    runtime: Runtime,
    clock: FakeClock,
    bearer: MakeToken,
    days_later: int,
) -> None:
    await add_account(runtime)
    headers = await bearer("read-only")
    sender = Sender()
    query, body = sender.request(sender.text(openid(1), "你好", clock.now(), 77), clock.now())
    assert (await client.post(f"/wechat/shop?{query}", content=body)).status_code == 200
    runtime.ids.good_until = None  # the slot's lease goes by the clock that is moved
    clock.advance(days=days_later)
    dropped = Dropped(runtime.database, runtime.audit)
    chore = KeepMessages(
        runtime.database, clock, dropped, kept_days=30, url=listen_url(runtime.settings)
    )
    await chore.run()
    found = await client.get("/api/v1/replies/traces/w:m:77", headers=headers)
    if days_later < 30:
        assert found.json()["text"] == "你好"
        return
    assert found.status_code == 404
    assert found.json()["error"]["code"] == "NOT_FOUND"
