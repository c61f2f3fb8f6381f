"""What a log line shows of people and secrets: nothing that could be used."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from app.core.log import get_logger, mask, mask_text, setup_logging

OPENID = "oSIMq1aB2cD3eF4gH5iJ6kL7mN8o"
ACCESS = "92_mQkV0access"
OURS = "gx_4f8Qz1mWkT0vXyAb"
PHONE = "13800138000"
SECRETS = (OPENID, ACCESS, OURS, PHONE)


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Where lines go. Logging belongs to the whole process: it is left as it was."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    root, config = logging.getLogger(), structlog.get_config()
    level, before = root.level, list(root.handlers)
    setup_logging("json")
    yield written
    root.handlers = [*before, *(h for h in root.handlers[1:] if h not in before)]
    root.setLevel(level)
    structlog.configure(**config)


def told(stream: io.StringIO) -> dict[str, object]:
    """The one line that was logged."""
    line = stream.getvalue()
    assert not any(secret in line for secret in SECRETS), line
    found: dict[str, object] = json.loads(line)
    return found


def test_fields_are_masked_by_name_at_any_depth(stream: io.StringIO) -> None:
    get_logger("test").info(
        "seen", openid=OPENID, token=ACCESS, details={"secret": OURS, "touser": OPENID}, tries=3
    )
    line = told(stream)
    assert line["openid"] == "oSIM…N8o"
    assert line["token"] == "…"
    assert line["details"] == {"secret": "…", "touser": mask(OPENID)}
    assert (line["event"], line["tries"], line["where"]) == ("seen", 3, "test")


@pytest.mark.parametrize(
    "text",
    [
        f"https://api.example/cgi-bin/user?access_token={ACCESS}&openid={OPENID}",
        f'{{"access_token":"{ACCESS}","expires_in":7200}}',
        f"{{'access_token': '{ACCESS}'}}",
        f"Authorization: Bearer {OURS}",
        f"call {PHONE}, please",
        f"ConnectError('{OPENID}')",
    ],
)
def test_texts_are_masked_wherever_they_stand(stream: io.StringIO, text: str) -> None:
    get_logger("test").info("seen", problem=text, several=[text, (text,)])
    told(stream)


def test_other_libraries_and_tracebacks_are_masked_too(stream: io.StringIO) -> None:
    fault = ValueError(f"no such person: {OPENID}")
    logging.getLogger("elsewhere").error("failed for %s", OPENID, exc_info=fault)
    line = told(stream)
    assert line["event"] == "failed for oSIM…N8o"
    assert "no such person: oSIM…N8o" in str(line["exception"])


def test_what_is_no_secret_stays_legible() -> None:
    for text in ("w:m:251356248526557190", "2026-11-25T13:00:00Z", "1795617551713", "rule 12"):
        assert mask_text(text) == text
