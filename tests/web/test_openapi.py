"""The API under everything its own document allows, and much that it does not.

Schemathesis makes the requests out of `/api/openapi.json`, a bounded number for each call and always
the same ones; the application answers in process. No answer is a fault, and each is one that the
document promises.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import schemathesis
from anyio.from_thread import start_blocking_portal
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.core.clock import SystemClock
from app.core.settings import Settings
from app.db.audit import CLI
from app.main import create_app
from app.runtime import Runtime
from tests.factories.accounts import make_account

BOUNDED = hypothesis_settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
CALLS = 18
"""The document describes at least so many calls: an empty one must not pass."""
SAID = [[{"do": "reply", "with": {"kind": "text", "text": "好的"}}]]
PLAN = {"steps": [{"ask": "几杯？", "save_as": "count"}]}

Call = Callable[[Any], httpx.Response]


@contextmanager
def served(app: FastAPI) -> Iterator[tuple[dict[str, Any], Call]]:
    """The document of the running application, and what sends it a case as the shop's owner."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(app.router.lifespan_context(app)),
    ):
        headers = portal.call(_owner, app.state.runtime)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, base_url="http://test")

        def call(case: Any) -> httpx.Response:
            request = case.as_transport_kwargs(base_url="http://test")
            if isinstance(request.get("data"), str | bytes):
                request["content"] = request.pop("data")
            request["headers"] = httpx.Headers(request["headers"])
            request["headers"].update(headers)
            request.pop("cookies", None)
            return portal.call(lambda: client.request(**request))

        yield portal.call(client.get, "/api/openapi.json").json(), call
        portal.call(client.aclose)


async def _owner(runtime: Runtime) -> dict[str, str]:
    await make_account(runtime.database, runtime.account_service, "cafe", appid="wx" + "0" * 16)
    await runtime.accounts.refresh()
    made = await runtime.database.transaction(
        lambda tx: runtime.token_service.make(
            tx, name="fuzz", role="owner", accounts=None, actor=CLI
        )
    )
    return {"Authorization": f"Bearer {made.secret}", "X-Guanxi-Account": "cafe"}


def with_actions(case: Any) -> None:
    """Free objects stand in the document for actions and plans; real ones get further in."""
    if isinstance(case.body, dict):
        if "answers" in case.body:
            case.body["answers"] = SAID
        if "plan" in case.body:
            case.body["plan"] = PLAN


def probe(operation: Any, mode: GenerationMode, call: Call) -> set[int]:
    """Sends some cases of one call, checks each answer, and says which statuses came."""
    statuses = set()

    @BOUNDED
    @given(case=operation.as_strategy(generation_mode=mode))
    def answers(case: Any) -> None:
        if mode is GenerationMode.POSITIVE:
            with_actions(case)
        answer = call(case)
        statuses.add(answer.status_code)
        case.validate_response(answer, checks=CHECKS)

    answers()
    return statuses


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_no_request_is_a_fault_and_every_answer_is_as_documented(
    settings: Settings, mode: GenerationMode
) -> None:
    app = create_app(settings, SystemClock())
    with served(app) as (document, call):
        schema: Any = schemathesis.openapi.from_dict(document)
        operations = [found.ok() for found in schema.get_all_operations()]
        tried = {each.label: probe(each, mode, call) for each in operations}
    assert len(tried) >= CALLS
    wanted = {200, 201, 404} if mode is GenerationMode.POSITIVE else {200, 422}
    assert wanted <= set.union(*tried.values()), tried
