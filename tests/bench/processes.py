"""Servers under test: real processes on a free port of 127.0.0.1."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_PATIENCE_SECONDS = 60.0
_GRACE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Running:
    pid: int
    port: int

    def memory_mb(self) -> float:
        """Resident memory of the largest process of the family, in MB of 1,000,000 bytes."""
        return max(_resident(pid) for pid in family(self.pid)) / 1e6

    def cpu_seconds(self) -> float:
        """CPU time of the whole family so far."""
        return sum(cpu_seconds(pid) for pid in family(self.pid))


@contextmanager
def running(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """Starts `command` with `{port}` filled in and waits until it speaks HTTP.

    Raises `RuntimeError` with the end of its log when it ends or stays dumb for a minute.
    """
    port = _free_port()
    filled = [part.replace("{port}", str(port)) for part in command]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GUANXI_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            filled,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**clean, **(environment or {})},
            start_new_session=True,
            cwd=_ROOT,
        )
    try:
        _wait_until_it_speaks(process, port, log)
        yield Running(process.pid, port)
    finally:
        _stop(process)


def uvicorn(target: str, *options: str) -> list[str]:
    """The command for an application of `tests.bench.servers`, tuned as `serve` is."""
    command = [sys.executable, "-m", "uvicorn", target, "--host", "127.0.0.1", "--port", "{port}"]
    command += ["--no-access-log", "--log-level", "warning", "--loop", "uvloop"]
    return [*command, "--http", "httptools", "--ws", "none", "--backlog", "2048", *options]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_speaks(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5, data=b"?"):
                return
        except urllib.error.HTTPError:
            return  # whatever it says, it speaks
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"the server does not start:\n{log.read_text(errors='replace')[-3000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def family(pid: int) -> list[int]:
    """The process and everything it started that still runs."""
    found = [pid]
    with suppress(FileNotFoundError):
        for task in Path(f"/proc/{pid}/task").glob("*"):
            for child in (task / "children").read_text().split():
                found += family(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far; nothing for one that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except FileNotFoundError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
