"""One run of wrk and what came of it."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from shutil import which

_SCRIPT = Path(__file__).with_name("walk.lua")
LEAST_ANSWER_BYTES = 120
"""An answer in XML is longer, `success` is shorter; every text of the load is to be answered."""


class NoWrk(RuntimeError):
    """The load comes from wrk, which is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "wrk is missing. On Debian and Ubuntu: `apt-get install wrk`; on macOS: `brew install wrk`."
        )


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of wrk saw. Only answers that arrived whole within the run are counted."""

    requests: int
    seconds: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    refused: int
    """Answers other than 200."""
    empty: int
    """Answers too short to be the reply that was due."""
    broken: int
    """Connections that failed."""
    timeouts: int
    rounds: int
    """How often the file was begun again: later requests were repeats."""
    position: int
    """The byte of the file where the next run may begin."""

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.requests / self.seconds if self.seconds else 0.0

    def faults(self, *, repeats_matter: bool = True) -> str:
        """Why the run does not count; empty when it does."""
        counts = {
            "not 200": self.refused,
            "empty": self.empty,
            "broken": self.broken,
            "timed out": self.timeouts,
            "rounds": self.rounds if repeats_matter else 0,
            "nothing answered": int(self.requests == 0),
        }
        return ", ".join(f"{name}: {count}" for name, count in counts.items() if count)


NOTHING = Run(0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0, 0, 0, 0)
"""Of a server that was only looked at."""


def find_wrk() -> str:
    """The program's path. Raises `NoWrk`."""
    found = which("wrk")
    if found is None:
        raise NoWrk
    return found


def drive(port: int, file: Path, *, position: int, connections: int, seconds: int) -> Run:
    """Sends the file's requests from `position` on over `connections` for `seconds`.

    One thread: wrk, the server and the database share the machine. Raises `RuntimeError` with
    wrk's own words when it fails.
    """
    command = [find_wrk(), "--threads", "1", "--connections", str(connections)]
    command += ["--duration", f"{seconds}s", "--timeout", "10s", "--script", str(_SCRIPT)]
    command += [f"http://127.0.0.1:{port}/", "--", str(file), str(position)]
    command.append(str(LEAST_ANSWER_BYTES))
    ended = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=seconds + 60
    )
    for line in ended.stdout.splitlines():
        if line.startswith("RESULT "):
            return Run(**json.loads(line.removeprefix("RESULT ")))
    raise RuntimeError(f"wrk failed: {ended.stderr or ended.stdout}")
