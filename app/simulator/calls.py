"""The latest calls of the platform's API, for the side panel and for tests. In memory only.

Query strings, which carry access tokens, are not kept.
"""

from collections import deque
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.simulator.world import World

_KEPT = 500
_SHOWN_BYTES = 4000


@dataclass(slots=True)
class CallRecord:
    id: str
    appid: str
    at: str
    method: str
    path: str
    body: str
    started: float
    ms: float = 0
    status: int = 0
    answer: str = ""

    @classmethod
    def begin(cls, world: World, appid: str, request: Request, raw: bytes) -> "CallRecord":
        return cls(
            id=world.new_id(),
            appid=appid,
            at=world.real().isoformat(),
            method=request.method,
            path="/" + request.path_params["path"],
            body=_text(raw),
            started=perf_counter(),
        )

    def end(self, response: Response) -> "CallRecord":
        self.ms = round((perf_counter() - self.started) * 1000, 2)
        self.status = response.status_code
        self.answer = _text(bytes(response.body))
        return self

    def shown(self) -> dict[str, Any]:
        fields = asdict(self)
        del fields["started"]
        return fields


def _text(data: bytes) -> str:
    """The text, cut to a readable length, or what stands for bytes that are none."""
    if b"\x00" in data[:_SHOWN_BYTES] or data.startswith(b"--"):
        return f"({len(data)} bytes)"
    return data[:_SHOWN_BYTES].decode(errors="replace")


class Calls:
    def __init__(self) -> None:
        self._kept: deque[CallRecord] = deque(maxlen=_KEPT)

    def add(self, world: World, record: CallRecord) -> None:
        self._kept.append(record)
        world.hub.tell("call", appid=record.appid, call=record.shown())

    def latest(self, appid: str, limit: int) -> list[dict[str, Any]]:
        """The newest first; an empty appid stands for all."""
        chosen = [call for call in reversed(self._kept) if appid in ("", call.appid)]
        return [call.shown() for call in chosen[:limit]]
