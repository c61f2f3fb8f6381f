"""The phone page in a real browser under its real content policy, with zero console errors."""

import json
import re
import shutil
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, async_playwright, expect

from app.core.clock import SystemClock
from app.simulator.app import create_simulator, standalone
from app.simulator.model import FAULT_LINE
from tests.simulator.bot import Mailbox, Seen, free_port, serving, text_reply, xml_reply
from tests.simulator.conftest import PATIENT

pytestmark = pytest.mark.browser
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
NAMELESS_BUTTONS = """
[...document.querySelectorAll("button")].filter((b) => !b.textContent.trim() && !b.ariaLabel).length
"""
WELCOME = (
    '欢迎 <a href="https://example.com/map">看地图</a> '
    '<a href="weixin://bizmsgmenu?msgmenucontent=领券&msgmenuid=7">点我领券</a> '
    '<a href="javascript:alert(1)">坏链接</a> <img src=x onerror=alert(1)>'
)
MENU = {
    "button": [
        {
            "name": "饮品",
            "sub_button": [
                {"type": "click", "name": "拿铁", "key": "LATTE"},
                {"type": "scancode_waitmsg", "name": "扫杯码", "key": "CUP"},
                {"type": "pic_sysphoto", "name": "拍一张", "key": "PHOTO"},
                {"type": "location_select", "name": "附近", "key": "NEAR"},
            ],
        },
        {"type": "view", "name": "官网", "url": "https://example.com/shop"},
    ]
}


def answer(seen: Seen) -> str:
    if seen.get("Event") == "subscribe":
        return text_reply(seen, WELCOME)
    if seen.get("Content") == "坏":
        return "oops"
    if seen.get("Content") == "图文":
        return xml_reply(
            seen,
            "<MsgType>news</MsgType><ArticleCount>1</ArticleCount><Articles><item>"
            "<Title>咖啡市集</Title><PicUrl>http://127.0.0.1:9/a.png</PicUrl>"
            "<Url>https://example.com/fair</Url></item></Articles>",
        )
    return text_reply(
        seen, f"收到{seen.get('Content') or seen.get('Event') or seen.get('MsgType')}"
    )


class Shop:
    """A served simulator with one account and its API."""

    def __init__(self, base: str, mailbox: Mailbox) -> None:
        self.base = base
        self.http = httpx.Client(base_url=base, trust_env=False)
        self.account: dict[str, Any] = self.post(
            "api/accounts", {"name": "拾光咖啡", "mode": "plain", "url": mailbox.url}
        )
        secrets = {"appid": self.account["appid"], "secret": self.account["secret"]}
        token = self.post(
            "platform/cgi-bin/stable_token", {"grant_type": "client_credential", **secrets}
        )
        self.token = token["access_token"]

    def __enter__(self) -> "Shop":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def post(self, path: str, body: dict[str, Any], **query: str) -> dict[str, Any]:
        content = json.dumps(body, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json"}
        found = self.http.post(f"/{path}", content=content, params=query, headers=headers)
        assert found.status_code < 300, found.text
        data: dict[str, Any] = found.json()
        return data

    def platform(self, name: str, body: dict[str, Any]) -> None:
        found = self.post(f"platform/cgi-bin/{name}", body, access_token=self.token)
        assert found["errcode"] == 0, found

    def follower(self) -> str:
        openid: str = self.post(f"api/accounts/{self.account['appid']}/followers", {})["openid"]
        return openid


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium: install Debian's package `chromium` to run the browser tests")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        await browser.close()


@pytest.fixture
def served() -> Any:
    app = create_simulator(store=None, product_url="", clock=SystemClock(), timing=PATIENT)
    return serving(standalone(app), free_port())


async def opened(browser: Browser, base: str, language: str, width: int, errors: list[str]) -> Page:
    context = await browser.new_context(
        locale=language, viewport={"width": width, "height": 860}, reduced_motion="reduce"
    )
    page = await context.new_page()

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            errors.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.goto(f"{base}/")
    return page


async def say(phone: Locator, text: str) -> None:
    box = phone.get_by_role("textbox", name="消息")
    await box.fill(text)
    await box.press("Enter")


async def test_a_conversation(browser: Browser, served: Any, mailbox: Mailbox) -> None:
    mailbox.answer = answer
    errors: list[str] = []
    with served as address, Shop(f"{address}/simulator", mailbox) as shop:
        shop.platform("menu/create", MENU)
        openid = shop.follower()
        page = await opened(browser, shop.base, "zh-CN", 1440, errors)
        phone = page.get_by_role("region", name="小林 的手机")
        log = phone.get_by_role("log")
        await phone.get_by_role("button", name="关注").click()

        # The welcome words: a link is a link, a click-to-send link a button, the rest text.
        await expect(log.get_by_role("link", name="看地图")).to_have_attribute(
            "href", "https://example.com/map"
        )
        await expect(log.get_by_role("link")).to_have_count(1)
        await expect(log).to_contain_text("<img src=x onerror=alert(1)>")
        await log.get_by_role("button", name="点我领券").click()
        await expect(log).to_contain_text("收到领券")

        await phone.get_by_role("button", name="切换到键盘").click()
        await say(phone, "你好")
        await expect(log).to_contain_text("收到你好")
        await say(phone, "图文")
        await expect(log.get_by_role("link", name="咖啡市集")).to_be_visible()
        await say(phone, "坏")
        await expect(log).to_contain_text(FAULT_LINE)

        # The things behind the plus.
        await phone.get_by_role("button", name="更多").click()
        await phone.get_by_role("button", name="图片", exact=True).click()
        await page.get_by_role("dialog").get_by_role("button", name="大海").click()
        await expect(log).to_contain_text("收到image")
        await phone.get_by_role("button", name="位置", exact=True).click()
        await page.get_by_role("dialog").get_by_role("button", name="发送").click()
        await expect(log).to_contain_text("收到location")

        # A message menu from the account, and a tap on it.
        options = {"list": [{"id": "1", "content": "满意"}], "head_content": "如何？"}
        shop.platform(
            "message/custom/send", {"touser": openid, "msgtype": "msgmenu", "msgmenu": options}
        )
        await log.get_by_role("button", name="满意").click()
        await expect(log).to_contain_text("收到满意")

        # The account's menu, by keyboard.
        await phone.get_by_role("button", name="切换到菜单").click()
        await phone.get_by_role("button", name="饮品").press("Enter")
        await page.keyboard.press("Enter")  # the first entry has the focus
        await expect(log).to_contain_text("收到CLICK")
        await phone.get_by_role("button", name="饮品").click()
        await phone.get_by_role("button", name="扫杯码").click()
        await page.get_by_role("dialog").get_by_role("button", name="扫码").click()
        await expect(log).to_contain_text("收到scancode_waitmsg")
        await phone.get_by_role("button", name="官网").click()
        await expect(log.get_by_role("link", name="https://example.com/shop")).to_be_visible()

        # The wire beside it.
        panel = page.get_by_role("complementary")
        await panel.get_by_role("button", name=re.compile("点链接菜单")).click()
        await expect(panel).to_contain_text("<Event><![CDATA[VIEW]]></Event>")
        await expect(panel).to_contain_text("没有轨迹")
        await panel.get_by_role("button", name="返回列表").click()
        await panel.get_by_role("tab", name="接口调用").click()
        await expect(panel).to_contain_text("/cgi-bin/message/custom/send")

        await phone.get_by_role("button", name="取消关注").click()
        await expect(phone.get_by_role("button", name="关注")).to_be_visible()
        await phone.get_by_role("button", name="扫码").click()
        await page.get_by_label("场景值").fill("poster")
        await page.get_by_role("dialog").get_by_role("button", name="扫码").click()
        await expect(phone.get_by_role("button", name="取消关注")).to_be_visible()
        assert mailbox.seen[-1].get("EventKey") == "qrscene_poster"
    assert errors == []


@pytest.mark.parametrize("width", [1440, 360])
@pytest.mark.parametrize(("language", "follow"), [("zh-CN", "关注"), ("en-US", "Follow")])
async def test_both_languages_and_widths(
    browser: Browser, served: Any, mailbox: Mailbox, width: int, language: str, follow: str
) -> None:
    errors: list[str] = []
    with served as address, Shop(f"{address}/simulator", mailbox) as shop:
        shop.follower()
        page = await opened(browser, shop.base, language, width, errors)
        await page.get_by_role("region").get_by_role("button", name=follow).click()
        await expect(page.get_by_role("log")).to_contain_text("你好")
        if width < 800:
            await page.get_by_role("button", name=re.compile("^(面板|Panel)$")).click()
        for name in (
            "推送|Deliveries",
            "接口调用|API calls",
            "故障与时间|Trouble",
            "^公众号$|^Account$",
        ):
            await page.get_by_role("tab", name=re.compile(name)).click()
        await expect(page.get_by_role("tabpanel")).to_contain_text(shop.account["appid"])
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await page.evaluate(overflow) == 0
        assert await page.evaluate(NAMELESS_BUTTONS) == 0
        other = "English" if language == "zh-CN" else "中文"
        await page.get_by_role("button", name=other).click()
        await page.reload()
        await expect(page.locator("html")).to_have_attribute(
            "lang", "en" if language == "zh-CN" else "zh-CN"
        )
    assert errors == []


async def test_the_first_account_is_made_on_the_page(
    browser: Browser, served: Any, mailbox: Mailbox
) -> None:
    mailbox.answer = lambda _: b"success"
    errors: list[str] = []
    with served as address:
        page = await opened(browser, f"{address}/simulator", "zh-CN", 1440, errors)
        await page.get_by_role("button", name="添加公众号").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("名称").fill("新店")
        await dialog.get_by_label("回调 URL").fill(mailbox.url)
        await dialog.get_by_role("button", name="保存").click()
        await expect(page.get_by_role("tabpanel")).to_contain_text("EncodingAESKey")
        await page.get_by_role("main").get_by_role("button", name="添加粉丝").click()
        await page.get_by_role("region").get_by_role("button", name="关注").click()
        await expect(page.get_by_role("button", name="取消关注")).to_be_visible()
        await page.get_by_role("tab", name="故障与时间").click()
        await page.get_by_label("哪一种").select_option("errcode")
        await page.get_by_role("button", name="加上").click()
        await expect(page.get_by_role("tabpanel")).to_contain_text("45047")
        await page.get_by_role("button", name="+1 天").click()
        await expect(page.get_by_role("tabpanel")).to_contain_text("比真实时间快 1 天")
    assert errors == []
    assert len(mailbox.seen) == 1


async def test_news_do_not_take_the_focus_from_an_open_menu(
    browser: Browser, served: Any, mailbox: Mailbox
) -> None:
    mailbox.answer = answer
    errors: list[str] = []
    with served as address, Shop(f"{address}/simulator", mailbox) as shop:
        shop.platform("menu/create", MENU)
        openid = shop.follower()
        actions = f"api/accounts/{shop.account['appid']}/followers/{openid}/actions"
        shop.post(actions, {"do": "follow"}, wait="1")
        page = await opened(browser, shop.base, "zh-CN", 1440, errors)
        phone = page.get_by_role("region").first
        await phone.get_by_role("button", name="饮品").press("Enter")
        entry = phone.get_by_role("button", name="拿铁")
        await expect(entry).to_be_focused()
        shop.post(actions, {"do": "text", "text": "你好"}, wait="1")
        await expect(phone.get_by_role("log")).to_contain_text("收到你好")
        await expect(phone).to_contain_text("可发 8 条")  # the screen was loaded again
        await expect(entry).to_be_focused()
    assert errors == []
