"""The phone page of the demo in a real browser: everything a visitor tries in the first minutes.

Every picture of the page is kept in the test's folder, to be looked at.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright

from app.cli.demo import shop
from app.simulator.model import FAULT_LINE
from tests.journeys.demo import Demo, Phone

pytestmark = pytest.mark.browser
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
NAMELESS_BUTTONS = """
[...document.querySelectorAll("button")].filter((b) => !b.textContent.trim() && !b.ariaLabel).length
"""
PATIENCE_MS = 20_000
LATE_MS = 30_000


@pytest.fixture
def browser() -> Iterator[Browser]:
    """For one test alone: while it is open, no other event loop can run in this thread."""
    if CHROMIUM is None:
        pytest.skip("no Chromium: install Debian's package `chromium` to run the browser tests")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        browser.close()


class Visit:
    """A page on which one new follower's phone lies, and what the console complained of."""

    def __init__(self, browser: Browser, demo: Demo, folder: Path, language: str, width: int):
        self.demo = demo
        self.follower = Phone(demo, "小朱")
        self.errors: list[str] = []
        self.wide = width > 800
        self._folder = folder
        self._name = f"{language}-{width}"
        self._shots = 0
        context = browser.new_context(
            locale=language, viewport={"width": width, "height": 900}, reduced_motion="reduce"
        )
        context.set_default_timeout(PATIENCE_MS)
        opened = (
            f'localStorage.setItem("simulator.open.{demo.appid}", \'["{self.follower.openid}"]\')'
        )
        context.add_init_script(opened)
        self.page: Page = context.new_page()
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(f"{demo.url}/simulator/")
        self.phone = self.page.get_by_role("region", name=re.compile("小朱"))
        self.log = self.phone.get_by_role("log")

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def close(self) -> None:
        self.page.context.close()

    def shoot(self, what: str) -> None:
        """Once nothing is loading any more, and a dialog is there if `what` names one."""
        expect(self.page.get_by_text(re.compile("^(载入中|Loading)"))).to_have_count(0)
        if what.endswith("-dialog"):
            expect(self.page.get_by_role("dialog")).to_be_visible()
        self._shots += 1
        path = self._folder / f"{self._name}-{self._shots:02}-{what}.png"
        self.page.screenshot(path=path)

    def button(self, name: str) -> Locator:
        return self.phone.get_by_role("button", name=name, exact=True)

    def dialog(self, name: str) -> Locator:
        return self.page.get_by_role("dialog").get_by_role("button", name=name, exact=True)

    def sees(self, words: str, patience: float = PATIENCE_MS) -> None:
        expect(self.log).to_contain_text(words, timeout=patience)

    def say(self, words: str) -> None:
        box = self.phone.get_by_role("textbox")
        box.fill(words)
        box.press("Enter")

    def menu(self, top: str, entry: str) -> None:
        self.phone.get_by_role("button", name=top).click()
        self.button(entry).click()

    def fits(self) -> None:
        """Nothing sticks out at the side, and no button is without a name."""
        assert self.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert self.page.evaluate(NAMELESS_BUTTONS) == 0


@pytest.fixture
def visit(
    browser: Browser, demo: Demo, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Visit]:
    language, width = getattr(request, "param", ("zh-CN", 1440))
    visit = Visit(browser, demo, tmp_path, language, width)
    yield visit
    visit.close()
    demo.faults()
    assert visit.errors == []


def test_the_first_minutes(visit: Visit) -> None:
    visit.shoot("stranger")
    visit.button("关注 山谷咖啡").click()
    visit.sees("我们不赶时间")
    visit.sees("第一次来的话")
    visit.shoot("followed")

    # An option of the message menu, and a question answered wrongly first.
    visit.log.get_by_role("button", name="帮我订位").click()
    visit.sees("几位一起来")
    visit.button("切换到键盘").click()
    visit.say("很多")
    visit.sees("请回复一个数字")
    visit.say("两位")
    visit.sees("2 位，哪一天来")
    visit.say("明天")
    visit.sees("留个手机号吧")
    visit.say("13800138000")
    visit.sees("座位留到整点后")
    visit.shoot("booked")

    # Words: a rule, an article, a picture with words after it.
    visit.say("几点开门")
    visit.sees(shop.HOURS)
    visit.say("豆子")
    expect(visit.log.get_by_role("link", name="本周豆单")).to_be_visible()
    visit.say("wifi")
    expect(visit.log.get_by_role("img", name="图片")).to_be_visible()
    visit.sees("slowdown2026")
    visit.shoot("words")

    # A picture and a place of their own.
    visit.button("更多").click()
    visit.shoot("more")
    visit.button("图片").click()
    visit.dialog("叶子").click()
    expect(visit.log.get_by_text(re.compile("照片"))).to_have_count(1)
    visit.button("位置").click()
    visit.shoot("place-dialog")
    visit.dialog("发送").click()
    visit.sees("离您最近的是人民广场店")
    visit.shoot("picture-and-place")


def test_every_button_of_the_menu(visit: Visit) -> None:
    visit.button("关注 山谷咖啡").click()
    visit.sees("第一次来的话")

    visit.menu("喝什么", "今日推荐")
    visit.sees("今日推荐：")
    visit.menu("喝什么", "本周豆单")
    expect(visit.log.get_by_role("link", name="本周豆单")).to_be_visible()
    visit.menu("喝什么", "在线菜单")
    visit.sees(f"{shop.SITE}/menu")

    visit.phone.get_by_role("button", name="到店").click()
    visit.shoot("menu-open")
    visit.button("订位").click()
    visit.sees("几位一起来")
    visit.menu("到店", "扫一扫")
    visit.shoot("scan-dialog")
    visit.dialog("扫码").click()
    visit.sees("券码 CPN-7F3K-92QX 收到了")
    visit.button("会员").click()
    visit.sees("每满十杯送一杯")
    visit.menu("喝什么", "慢慢冲一壶")
    visit.sees("您的耶加雪菲冲好了", LATE_MS)
    visit.shoot("late-answer")


def test_places_and_pictures_of_the_menu(visit: Visit) -> None:
    visit.button("关注 山谷咖啡").click()
    visit.sees("第一次来的话")
    visit.menu("到店", "哪家店近")
    visit.dialog("发送").click()
    visit.sees("离您最近的是人民广场店")
    visit.menu("到店", "晒一杯")
    visit.shoot("picture-dialog")
    visit.dialog("日出").click()
    expect(visit.log.get_by_text(re.compile("照片"))).to_have_count(1)
    visit.shoot("menu-picture")


def test_codes_with_and_without_following(visit: Visit) -> None:
    visit.button("扫码").click()
    visit.shoot("codes-dialog")
    visit.page.get_by_role("dialog").get_by_role("button", name="poster").click()
    visit.sees("第一杯立减 8 元")
    visit.button("扫码").click()
    visit.page.get_by_role("dialog").get_by_role("button", name="table-5").click()
    visit.sees("您在 5 号桌")
    visit.button("取消关注").click()
    expect(visit.button("关注 山谷咖啡")).to_be_visible()
    visit.shoot("left-again")


def test_trouble_and_a_repeated_delivery(visit: Visit) -> None:
    page = visit.page
    visit.button("关注 山谷咖啡").click()
    visit.sees("第一次来的话")
    visit.button("切换到键盘").click()
    visit.say("谢谢")
    panel = page.get_by_role("complementary")
    panel.get_by_role("button", name=re.compile("文字")).first.click()
    expect(panel).to_contain_text('"rule"')
    visit.shoot("delivery-and-trace")
    panel.get_by_role("button", name="再发一次").click()
    visit.dialog("再发一次").click()
    expect(panel).to_contain_text("每次答复一致")
    expect(panel).to_contain_text("额外重发")
    visit.shoot("repeated")

    panel.get_by_role("tab", name="接口调用").click()
    expect(panel).to_contain_text("/cgi-bin/message/custom/send")
    visit.shoot("calls")
    panel.get_by_role("tab", name="故障与时间").click()
    panel.get_by_label("哪一种").select_option("unreachable")
    panel.get_by_label("次数（空 = 一直）").fill("3")
    panel.get_by_role("button", name="加上").click()
    visit.shoot("trouble")
    visit.say("在吗")
    visit.sees(FAULT_LINE)
    panel.get_by_role("tab", name="推送").click()
    visit.shoot("fault-line")
    panel.get_by_role("tab", name="公众号").click()
    visit.shoot("account")


@pytest.mark.parametrize("visit", [("en-US", 1440), ("zh-CN", 360), ("en-US", 360)], indirect=True)
def test_the_other_language_and_a_real_phone(visit: Visit) -> None:
    english = visit.page.evaluate("document.documentElement.lang") == "en"
    words = (
        ("Follow 山谷咖啡", "Switch to keyboard", "Panel", "Deliveries", "Send", "More", "Position")
        if english
        else ("关注 山谷咖啡", "切换到键盘", "面板", "推送", "发送", "更多", "位置")
    )
    follow, keyboard, panel_button, deliveries, send, more, position = words
    visit.shoot("stranger")
    visit.button(follow).click()
    visit.sees("第一次来的话")
    visit.phone.get_by_role("button", name="到店").click()
    visit.shoot("menu-open")
    visit.fits()
    visit.button("扫一扫").click()
    visit.shoot("scan-dialog")
    visit.page.keyboard.press("Escape")
    visit.button(keyboard).click()
    visit.say("几点开门")
    visit.sees(shop.HOURS)
    visit.button(more).click()
    visit.button(position).click()
    visit.dialog(send).click()
    visit.sees("离您最近的是人民广场店")
    visit.shoot("chat")
    visit.fits()
    if not visit.wide:
        visit.page.get_by_role("button", name=panel_button, exact=True).click()
    panel = visit.page.get_by_role("complementary")
    panel.get_by_role("tab", name=deliveries).click()
    visit.shoot("deliveries")
    panel.get_by_role("listitem").first.get_by_role("button").click()
    expect(panel).to_contain_text('"binding"')
    visit.shoot("delivery")
    visit.fits()
    for tab in panel.get_by_role("tab").all()[1:]:
        tab.click()
        visit.shoot("tab")
        visit.fits()
