"""The demo as a process, and a follower's phone in it by the simulator's JSON API."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx

ROOT = Path(__file__).parents[2]
START_SECONDS = 90.0
STOP_SECONDS = 12.0
"""Two more than are promised: the machine is busy with other tests."""
PATIENCE = 25.0
T = TypeVar("T")


def until(look: Callable[[], T | None], what: str, seconds: float = PATIENCE) -> T:
    """The first result that is not None."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds:g} s: {what}")


class Demo:
    """`python -m app demo` in a folder of its own, from its ready line to its end."""

    def __init__(self, folder: Path, *arguments: str, port: int = 0) -> None:
        self.folder = folder
        self.log = folder.with_suffix(".log")
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app", "demo", "--port", str(port), *arguments],
                cwd=ROOT,
                env=os.environ | {"GUANXI_DATA_DIR": str(folder), "PYTHONUNBUFFERED": "1"},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.url = ""
        self.http = httpx.Client(trust_env=False, timeout=40)

    def __enter__(self) -> "Demo":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()

    def said(self) -> str:
        return self.log.read_text()

    def until_ready(self) -> "Demo":
        def ready() -> str | None:
            assert self.process.poll() is None, self.said()
            found = re.search(r"is ready: (http://\S+)/simulator/", self.said())
            return found and found[1]

        self.url = until(ready, self.said(), START_SECONDS)
        return self

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """The exit code after a signal."""
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)

    def api(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        answer = self.http.request(
            method, f"{self.url}/simulator/api/{path}", json=body, params=query
        )
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    @property
    def appid(self) -> str:
        (account,) = self.api("GET", "accounts")["accounts"]
        return str(account["appid"])

    def phone(self, name: str = "小何") -> "Phone":
        """Of somebody new, who does not follow yet."""
        return Phone(self, name)

    def rows(self, sql: str, *values: Any) -> Sequence[Any]:
        """What the product has stored, read beside it."""
        file = f"file:{self.folder / 'guanxi.db'}?mode=ro"
        connection = sqlite3.connect(file, uri=True)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def faults(self, *faults: dict[str, Any]) -> None:
        self.api("PUT", "faults", {"faults": list(faults)})


class Phone:
    """One follower's phone. What is shown is told from the last look on."""

    def __init__(self, demo: Demo, name: str) -> None:
        self.demo = demo
        path = f"accounts/{demo.appid}/followers"
        self.openid = demo.api("POST", path, {"name": name})["openid"]
        self._path = f"{path}/{self.openid}"
        self._seen = 0

    def do(self, do: str, **fields: Any) -> list[dict[str, Any]]:
        """Every delivery that comes of it, settled."""
        answer = self.demo.api("POST", f"{self._path}/actions", {"do": do, **fields}, wait=True)
        return [self.delivery(delivery) for delivery in answer["deliveries"]]

    def begin(self, do: str, **fields: Any) -> None:
        """Does not wait for what comes of it."""
        self.demo.api("POST", f"{self._path}/actions", {"do": do, **fields})

    def one(self, do: str, **fields: Any) -> dict[str, Any]:
        (delivery,) = self.do(do, **fields)
        return delivery

    def say(self, text: str) -> str:
        """The passive answer as it is shown."""
        return text_of(self.one("text", text=text)["shown"])

    def delivery(self, delivery_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.demo.api("GET", f"deliveries/{delivery_id}", wait=True)
        return found

    def trace(self, delivery: dict[str, Any]) -> dict[str, Any]:
        """Why the product answered so, by the product's own account."""
        answer = self.demo.api("GET", f"deliveries/{delivery['id']}/trace")
        assert answer["trace"] is not None, answer
        trace: dict[str, Any] = answer["trace"]
        return trace

    def screen(self) -> dict[str, Any]:
        found: dict[str, Any] = self.demo.api("GET", f"{self._path}/screen")
        return found

    def fresh(self) -> list[dict[str, Any]]:
        """What came onto the screen since the last look."""
        items = [item for item in self.screen()["items"] if item["id"] > self._seen]
        self._seen = max([self._seen, *(item["id"] for item in items)])
        return items

    def sent(self) -> dict[str, Any]:
        """The next customer message to appear."""

        def look() -> dict[str, Any] | None:
            return next((item for item in self.fresh() if item.get("send")), None)

        return until(look, "a customer message")

    def tags(self) -> set[str]:
        rows = self.demo.rows(
            "SELECT tag.name FROM tag JOIN follower_tag ON tag_id = tag.id"
            " JOIN follower ON follower.id = follower_id WHERE openid = ?",
            self.openid,
        )
        return {name for (name,) in rows}

    def stored(self, delivery: dict[str, Any]) -> int:
        """How often the product has this delivery."""
        rows = self.demo.rows(
            "SELECT count(*) FROM cs_message WHERE receipt_key = ?", delivery["key"]
        )
        return int(rows[0][0])


def text_of(items: Sequence[dict[str, Any]]) -> str:
    """The words of the only item shown."""
    (item,) = items
    assert item["kind"] == "text", item
    return str(item["text"])
