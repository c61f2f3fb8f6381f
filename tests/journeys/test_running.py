"""Starting, stopping and starting again."""

import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from app.cli.demo import shop
from tests.journeys.demo import ROOT, Demo, text_of


def test_it_stops_cleanly_and_keeps_chats_rules_and_time(tmp_path: Path) -> None:
    with Demo(tmp_path / "var").until_ready() as first:
        phone = first.phone("小冯")
        delivery = phone.one("follow")
        first.api("POST", "time", {"advance_seconds": 7200})
        assert first.stop(signal.SIGINT) == 0
        assert "已停止" in first.said()

    with Demo(tmp_path / "var").until_ready() as second:
        followers = second.api("GET", f"accounts/{second.appid}/followers")["followers"]
        assert [f["name"] for f in followers] == [*shop.FOLLOWERS, "小冯"]
        phone.demo = second
        assert second.api("GET", "time")["offset_seconds"] == 7200
        assert "我们不赶时间" in text_of(phone.delivery(delivery["id"])["shown"])
        answer = phone.one("text", text="几点开门")
        assert text_of(answer["shown"]) == shop.HOURS
        assert phone.trace(answer)["why"]["name"] == "营业时间"
        codes = second.api("GET", f"accounts/{second.appid}/codes")["codes"]
        assert len(codes) == len(shop.CODES)
        assert second.stop(signal.SIGTERM) == 0


def test_a_message_on_its_way_when_the_stop_begins_arrives(tmp_path: Path) -> None:
    with Demo(tmp_path / "var").until_ready() as first:
        phone = first.phone()
        phone.one("follow")
        phone.sent()
        phone.one("text", text="wifi")
        first.stop()
    with Demo(tmp_path / "var").until_ready() as second:
        phone.demo = second
        assert "slowdown2026" in phone.sent()["text"]


def test_a_picture_that_the_platform_has_forgotten_is_sent_up_again(tmp_path: Path) -> None:
    with Demo(tmp_path / "var").until_ready() as first:
        first.api("POST", "time", {"advance_seconds": 4 * 86400})
        phone = first.phone()
        phone.one("follow")
        assert phone.one("text", text="wifi")["shown"][0]["missing"] is True
        first.stop()

    with Demo(tmp_path / "var").until_ready() as second:
        phone.demo = second
        assert "missing" not in phone.one("text", text="wifi")["shown"][0]


def test_it_stops_in_time_with_a_page_open_and_an_answer_on_its_way(tmp_path: Path) -> None:
    with Demo(tmp_path / "var").until_ready() as demo:
        phone = demo.phone()
        phone.one("follow")
        stream = httpx.stream("GET", f"{demo.url}/simulator/api/stream", trust_env=False)
        with stream as events:
            assert events.status_code == 200
            phone.begin("text", text="慢慢来")
            assert demo.stop(signal.SIGINT) == 0


def test_fresh_forgets_what_was_there(tmp_path: Path) -> None:
    with Demo(tmp_path / "var").until_ready() as first:
        before = first.appid
        first.stop()
    with Demo(tmp_path / "var", "--fresh").until_ready() as second:
        assert second.appid != before


def test_the_key_is_for_its_owner_alone(demo: Demo) -> None:
    key = demo.folder / "demo.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(key.read_text().strip()) >= 32


def test_the_token_command_it_names_works(demo: Demo) -> None:
    command = re.search(r"令牌 API token +(.+)", demo.said())
    assert command is not None
    made = subprocess.run(
        command[1], shell=True, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    answer = demo.http.get(
        f"{demo.url}/api/v1/replies/rules?limit=200",
        headers={"authorization": f"Bearer {made.stdout.strip()}"},
    )
    assert len(answer.json()["items"]) == len(shop.rules("m"))


def test_pages_and_documents_answer(demo: Demo) -> None:
    assert demo.http.get(f"{demo.url}/readyz").json()["ready"] is True
    assert "/api/v1/demo/time" in demo.http.get(f"{demo.url}/api/openapi.json").json()["paths"]
    assert "dry-run" in demo.http.get(f"{demo.url}/api/docs").text
    page = demo.http.get(f"{demo.url}/simulator/")
    assert "script-src 'self'" in page.headers["content-security-policy"]


def _demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", "demo", *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "GUANXI_DATA_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_taken_port_is_named_with_a_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = _demo(tmp_path / "var", "--port", str(port))
    assert ended.returncode == 1
    assert f"端口 {port} 已被占用" in ended.stderr
    assert f"make demo PORT={port + 1}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_second_demo_in_the_same_folder_is_refused(demo: Demo) -> None:
    ended = _demo(demo.folder, "--port", "0")
    assert (ended.returncode, "Another serve process" in ended.stderr) == (1, True)


@pytest.mark.parametrize("arguments", [[], ["--fresh"]])
def test_a_database_of_somebody_else_is_left_alone(tmp_path: Path, arguments: list[str]) -> None:
    database = tmp_path / "guanxi.db"
    database.write_bytes(b"precious")
    ended = _demo(tmp_path, "--port", "0", *arguments)
    assert (ended.returncode, "was not made by the demo" in ended.stderr) == (1, True)
    assert database.read_bytes() == b"precious"
