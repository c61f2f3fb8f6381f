"""Trouble on demand: on the way to the account's server, and in the platform's API."""

from typing import Any, Literal, get_args

from pydantic import BaseModel, Field, model_validator

from app.simulator.store import Store

DeliveryFault = Literal[
    "slow", "drop_answer", "repeat", "unreachable", "forged", "stale", "wrong_key", "wrong_appid"
]
ApiFault = Literal[
    "errcode", "expired_token", "quota", "slow_api", "http_500", "hang", "truncated", "html"
]
_OF_DELIVERY = frozenset(get_args(DeliveryFault))


class Fault(BaseModel):
    """One kind of trouble, for one account or all, for so many deliveries or calls or until removed.

    To deliveries:
    `slow`         each request reaches the server `ms` later, inside the platform's deadline
    `drop_answer`  the server's answer is lost; the platform sees silence and asks again
    `repeat`       each delivery is sent `times` more, to `urls` in turn (empty: the account's own)
    `unreachable`  the connection fails
    `forged`       the signature is wrong
    `stale`        signed an hour ago
    `wrong_key`    encrypted with a key nobody knows
    `wrong_appid`  encrypted for another account

    To calls of the API, optionally only those whose path contains `path`:
    `errcode`      answers `code` (-1, 45009, 45047, …), nothing is done
    `expired_token` every token of the account ends now: 42001
    `quota`        the interface's daily quota is used up: 45009 (customer messages: 45047 with `code`)
    `slow_api`     answers after `ms`
    `http_500`     HTTP 500 with an HTML page
    `html`         HTTP 200 with an HTML page
    `truncated`    the work is done, the answer is cut in the middle
    `hang`         no answer for `ms`; with `after` the work is done first
    """

    kind: DeliveryFault | ApiFault
    appid: str = ""
    count: int | None = Field(None, ge=0)
    """How often it still happens; null: until removed. For `drop_answer` counted per attempt."""
    ms: int = Field(0, ge=0, le=600_000)
    times: int = Field(1, ge=1, le=50)
    urls: list[str] = Field(default_factory=list, max_length=50)
    code: int = 0
    path: str = ""
    after: bool = False

    @model_validator(mode="after")
    def _complete(self) -> "Fault":
        if self.kind == "errcode" and self.code == 0:
            raise ValueError("errcode needs a code other than 0")
        return self

    @property
    def to_deliveries(self) -> bool:
        return self.kind in _OF_DELIVERY


class Faults:
    """The faults in force; they outlive a restart."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.all = [Fault.model_validate(doc) for doc in store.get_state("faults") or ()]

    def put(self, faults: list[Fault]) -> None:
        self.all = list(faults)
        self._save()

    def listed(self) -> list[dict[str, Any]]:
        return [fault.model_dump() for fault in self.all]

    def take(self, kind: DeliveryFault | ApiFault, appid: str) -> Fault | None:
        """The first fault of that kind for the account, counted down."""
        for fault in self.all:
            if fault.kind == kind and fault.appid in ("", appid):
                self._count_down(fault)
                return fault
        return None

    def take_for_call(self, appid: str, path: str) -> Fault | None:
        """The first fault that meets this call of the API, counted down."""
        for fault in self.all:
            if not fault.to_deliveries and fault.appid in ("", appid) and fault.path in path:
                self._count_down(fault)
                return fault
        return None

    def _count_down(self, fault: Fault) -> None:
        if fault.count is None:
            return
        fault.count -= 1
        if fault.count <= 0:
            self.all.remove(fault)
        self._save()

    def _save(self) -> None:
        self._store.put_state("faults", self.listed())
