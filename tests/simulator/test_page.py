"""The page's files, policy and pictures, without a browser."""

import re
from pathlib import Path

import pytest
from starlette.responses import Response

from app.simulator import page
from tests.simulator.bot import Mailbox, xml_reply
from tests.simulator.conftest import Sim

MODULES = sorted(page.STATIC.glob("*.js"))


async def test_the_shell_and_its_files(sim: Sim) -> None:
    shell = await sim.http.get("/simulator/")
    assert shell.headers["content-security-policy"] == page.POLICY
    assert "<script>" not in shell.text
    assert "style=" not in shell.text
    for name in re.findall(r'(?:src|href)="(static/[^"]+)"', shell.text):
        file = await sim.http.get(f"/simulator/{name}")
        assert file.status_code == 200
        assert file.headers["x-content-type-options"] == "nosniff"


async def test_the_slash_is_added(sim: Sim) -> None:
    for path in ("/", "/simulator"):
        answer = await sim.http.get(path)
        assert answer.headers["location"].removeprefix("http://sim.test") == "/simulator/"


@pytest.mark.parametrize("name", ["../app.py", "..%2Fapp.py", "nothing.js", "phone.py", ""])
async def test_nothing_else_is_served(sim: Sim, name: str) -> None:
    assert (await sim.http.get(f"/simulator/static/{name}")).status_code == 404


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_modules_build_no_markup(module: Path) -> None:
    text = module.read_text()
    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        ".style",
    ):
        assert way not in text


def test_both_languages_have_the_same_words() -> None:
    text = (page.STATIC / "words.js").read_text()
    chinese, english = text.split("  zh: {")[1].split("  en: {")
    keys = re.compile(r"^    (\w+): \"", re.MULTILINE)
    assert keys.findall(chinese) == keys.findall(english)
    places = re.compile(r"^    (\w+): \"(.*)\",$", re.MULTILINE)
    for (key, zh), (_, en) in zip(places.findall(chinese), places.findall(english), strict=True):
        assert sorted(re.findall(r"\{\w+\}", zh)) == sorted(re.findall(r"\{\w+\}", en)), key


def test_every_word_used_is_there() -> None:
    words = (page.STATIC / "words.js").read_text()
    keys = set(re.findall(r"^    (\w+): \"", words, re.MULTILINE))
    used = {key for module in MODULES for key in re.findall(r"\bt\(\"(\w+)\"", module.read_text())}
    assert used
    assert used <= keys


async def test_other_origins_cannot_write(sim: Sim) -> None:
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 201)):
        answer = await sim.http.post(
            "/simulator/api/accounts", json={}, headers={"Sec-Fetch-Site": site}
        )
        assert answer.status_code == status
    read = await sim.http.get("/simulator/", headers={"Sec-Fetch-Site": "cross-site"})
    assert read.status_code == 200


class TestPictures:
    async def article(self, sim: Sim, mailbox: Mailbox, picture_url: str) -> int:
        mailbox.answer = lambda seen: xml_reply(
            seen,
            "<MsgType>news</MsgType><ArticleCount>1</ArticleCount><Articles><item>"
            f"<Title>&lt;市集&gt;</Title><PicUrl>{picture_url}</PicUrl></item></Articles>",
        )
        phone = await sim.phone(await sim.account(mailbox))
        delivery = await phone.do("text", text="图文")
        assert delivery["state"] == "shown", delivery["reason"]
        item: int = (await phone.items())[-1]["id"]
        return item

    async def test_an_articles_picture_comes_through_the_simulator(
        self, sim: Sim, mailbox: Mailbox
    ) -> None:
        mailbox.echo = lambda echostr: (
            Response(b"\x89PNG", media_type="image/png") if echostr == "picture" else echostr
        )
        item = await self.article(sim, mailbox, f"{mailbox.url}?echostr=picture")
        picture = await sim.http.get(f"/simulator/items/{item}/pictures/0")
        assert (picture.content, picture.headers["content-type"]) == (b"\x89PNG", "image/png")
        assert (await sim.http.get(f"/simulator/items/{item}/pictures/1")).status_code == 404
        assert (await sim.http.get("/simulator/items/999/pictures/0")).status_code == 404

    @pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "nonsense", "file:///etc/passwd", ""])
    async def test_a_drawing_stands_in(self, sim: Sim, mailbox: Mailbox, url: str) -> None:
        item = await self.article(sim, mailbox, url)
        picture = await sim.http.get(f"/simulator/items/{item}/pictures/0")
        assert picture.headers["content-type"] == "image/svg+xml"
        assert "&lt;</text>" in picture.text

    async def test_what_is_no_picture_is_not_passed_on(self, sim: Sim, mailbox: Mailbox) -> None:
        item = await self.article(sim, mailbox, f"{mailbox.url}?echostr=html")
        picture = await sim.http.get(f"/simulator/items/{item}/pictures/0")
        assert picture.headers["content-type"] == "image/svg+xml"

    async def test_uploads_are_never_served_as_pages(self, sim: Sim) -> None:
        account = await sim.account()
        file = await sim.http.post(
            f"/simulator/api/accounts/{account['appid']}/files",
            content=b"<script>alert(1)</script>",
            headers={"Content-Type": "text/html"},
        )
        got = await sim.http.get(f"/simulator/media/{file.json()['media_id']}")
        assert got.headers["content-type"] == "application/octet-stream"

    async def test_presets(self, sim: Sim) -> None:
        assert (await sim.http.get("/simulator/samples/sea.png")).content.startswith(b"\x89PNG")
        assert (await sim.http.get("/simulator/samples/none.png")).status_code == 404

    async def test_media_nobody_has_is_marked(self, sim: Sim, mailbox: Mailbox) -> None:
        mailbox.answer = lambda seen: xml_reply(
            seen, "<MsgType>image</MsgType><Image><MediaId>none</MediaId></Image>"
        )
        phone = await sim.phone(await sim.account(mailbox))
        await phone.do("text", text="图")
        assert (await phone.items())[-1]["missing"] is True
