from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.demo import Demo, Phone


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One per test worker, on a free port."""
    with Demo(tmp_path_factory.mktemp("demo") / "var") as demo:
        yield demo.until_ready()


@pytest.fixture
def phone(demo: Demo) -> Iterator[Phone]:
    """Of somebody who has just followed and read the welcome."""
    phone = demo.phone()
    phone.one("follow")
    phone.sent()
    yield phone
    demo.faults()


@pytest.fixture
def hostile() -> Path:
    return Path(__file__).parents[1] / "samples" / "wechat" / "hostile"
