"""`docs/simulator.md` against the code: whatever can be done is written there."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from app.core.clock import FakeClock, SystemClock
from app.simulator.actions import Action
from app.simulator.app import create_simulator, standalone
from app.simulator.faults import ApiFault, DeliveryFault
from app.simulator.model import State
from app.simulator.platform.routes import names
from tests.simulator.bot import Mailbox, free_port, serving, text_reply

PAGE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()


def routes() -> list[str]:
    app = create_simulator(store=None, product_url="", clock=FakeClock())
    paths: dict[str, Any] = app.openapi()["paths"]
    app.state.box.world.store.close()
    return [path.removeprefix("/api/").partition("{openid}/")[2] or path for path in paths]


@pytest.mark.parametrize(
    "words",
    [
        names(),
        get_args(Action.model_fields["do"].annotation),
        get_args(ApiFault) + get_args(DeliveryFault),
        get_args(State),
    ],
    ids=["calls", "actions", "faults", "states"],
)
def test_every_word_is_documented(words: tuple[str, ...]) -> None:
    assert [word for word in words if f"`{word}`" not in PAGE] == []


def test_every_route_is_documented() -> None:
    documented = " ".join(re.findall(r"^\| (`(?:GET|POST).*?) \|", PAGE, re.MULTILINE))
    missing = [
        path
        for path in routes()
        if path.removeprefix("/api/").replace("delivery_id", "id") not in documented
    ]
    assert missing == []


def test_the_example_runs(mailbox: Mailbox, capsys: pytest.CaptureFixture[str]) -> None:
    found = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert found
    mailbox.answer = lambda seen: text_reply(seen, "欢迎")
    app = create_simulator(store=None, product_url="", clock=SystemClock())
    with serving(standalone(app), free_port()) as address:
        program = found[1].replace("http://127.0.0.1:8100", address)
        program = program.replace("http://127.0.0.1:8000/wechat/shop", mailbox.url)
        scope: dict[str, Any] = {}
        exec(program.replace('"safe"', '"plain"'), scope)
        scope["sim"].close()
    assert capsys.readouterr().out.strip() == "['欢迎', '你好', '欢迎']"
