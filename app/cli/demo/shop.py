"""The sample shop 山谷咖啡: what it answers, its menu, its codes, its first followers."""

from typing import Any

from app.engines.replies.inputs import BindingInput, FlowInput, RuleInput
from app.engines.replies.matcher import RuleKind

SLUG = "valley"
NAME = "山谷咖啡"
CONTACT = "人工客服：010-12345678（每天 9:00–21:00）"
FOLLOWERS = ("小林", "小周", "小陈")
CODES = ("door", "table-5", "poster")
"""Scenes of the codes at the door, on table 5 and on the poster; they last for ever."""
WIFI_RULE = "WiFi"
WIFI = ("Valley-Coffee", "slowdown2026")
"""Name and password of the network; its QR code is the picture that the shop sends."""
BOOKING = "订位"
SITE = "https://example.com/valley"

Actions = list[dict[str, Any]]


def say(text: str) -> dict[str, Any]:
    return {"do": "reply", "with": {"kind": "text", "text": text}}


def tag(*names: str) -> dict[str, Any]:
    return {"do": "tag", "with": {"names": list(names)}}


def untag(*names: str) -> dict[str, Any]:
    return {"do": "untag", "with": {"names": list(names)}}


def book() -> dict[str, Any]:
    return {"do": "start_flow", "with": {"flow": BOOKING}}


def menu(head: str, *options: tuple[str, str], tail: str = "") -> dict[str, Any]:
    listed = [{"id": key, "words": words} for key, words in options]
    return {"do": "reply", "with": {"kind": "menu", "head": head, "options": listed, "tail": tail}}


def picture(media_id: str) -> dict[str, Any]:
    return {"do": "reply", "with": {"kind": "image", "media_id": media_id}}


def article(title: str, description: str, page: str) -> dict[str, Any]:
    card = {"title": title, "description": description, "url": f"{SITE}/{page}"}
    return {"do": "reply", "with": {"kind": "article", **card}}


DRINKS = (("pick.latte", "想喝带奶的"), ("pick.pour", "想喝黑咖啡"), ("pick.tea", "今天不想喝咖啡"))
HELP = (("help.hours", "几点开门"), ("help.where", "店在哪"), ("help.book", "帮我订位"))
BEANS = article(
    "本周豆单：云南孟连",
    "日晒，草莓与可可。每天上午现烘，手冲 32 元，豆子 78 元／200 克。",
    "beans",
)
HOURS = "我们每天 8:00–21:00 开门，周末 9:00–22:00。节假日照常，慢慢来就好。"
WHERE = (
    "山谷咖啡在上海市黄浦区人民大道 200 号 B1，地铁人民广场站 9 号口出来走两分钟。\n"
    f'<a href="{SITE}/map">看地图</a> · 停车请走广场地库，凭小票免一小时。'
)


def wifi_rule(media_id: str) -> RuleInput:
    """The picture is a temporary media of the platform: it is gone after three days."""
    name, password = WIFI
    words = f"扫上面的码就能连上；也可以手动连：{name}，密码 {password}"
    return _rule(
        WIFI_RULE,
        RuleKind.EXACT,
        ["wifi", "wi-fi", "无线", "密码", "WiFi密码"],
        [[picture(media_id), say(words)]],
    )


def rules(wifi_media_id: str) -> list[RuleInput]:
    return [
        _rule(
            "打招呼",
            RuleKind.EXACT,
            ["你好", "您好", "hi", "hello", "在吗", "早上好"],
            [
                [say("在的，今天也慢慢来 ☕ 想喝点什么？")],
                [say("您好呀，刚磨好一壶豆子，正香着。")],
                [say("来啦？回复「帮助」可以看看我会什么。")],
            ],
        ),
        _rule(
            "谢谢",
            RuleKind.EXACT,
            ["谢谢", "多谢", "thanks", "thank you"],
            [[say("不客气，路过就来坐坐。")], [say("应该的 ☕")], [say("您喜欢就好。")]],
        ),
        _rule(
            "帮助",
            RuleKind.EXACT,
            ["帮助", "help", "?", "功能"],
            [[menu("您可以问我：", *HELP, tail="也可以直接打字，比如「推荐」「WiFi」「外卖」。")]],
        ),
        _rule(
            "入会",
            RuleKind.EXACT,
            ["入会", "加入会员", "我要当会员"],
            [[tag("会员"), say("欢迎加入山谷会员：每满十杯送一杯，生日当天第二杯半价。")]],
        ),
        _rule(
            "退会",
            RuleKind.EXACT,
            ["退会", "退出会员"],
            [[untag("会员"), say("已经帮您退出会员，攒的杯数会保留一年。")]],
        ),
        wifi_rule(wifi_media_id),
        _rule(
            "营业时间", RuleKind.CONTAINS, ["营业", "几点", "开门", "关门", "打烊"], [[say(HOURS)]]
        ),
        _rule(
            "地址", RuleKind.CONTAINS, ["地址", "在哪", "怎么走", "停车", "导航"], [[say(WHERE)]]
        ),
        _rule(
            "推荐",
            RuleKind.CONTAINS,
            ["推荐", "喝什么", "招牌", "好喝"],
            [[say("我来帮您挑一杯，先选个方向："), menu("今天想喝点什么？", *DRINKS)]],
        ),
        _rule(
            "外卖",
            RuleKind.CONTAINS,
            ["外卖", "配送", "送到"],
            [[say("三公里内可以送，约 40 分钟。打电话下单：010-12345678，报「公众号」免配送费。")]],
        ),
        _rule("订位", RuleKind.CONTAINS, ["订位", "预订", "预约", "订座"], [[book()]]),
        _rule(
            "不满意",
            RuleKind.CONTAINS,
            ["投诉", "难喝", "差评", "太慢"],
            [[tag("需回访"), say(f"很抱歉让您不愉快，店长会在今天之内联系您。\n{CONTACT}")]],
            priority=100,
        ),
        _rule("豆子", RuleKind.WILDCARD, ["*豆*", "*beans*"], [[BEANS]]),
        _rule(
            "优惠",
            RuleKind.WILDCARD,
            ["*优惠*", "*打折*", "*便宜*点*", "有*券*"],
            [
                [say("每天 15:00–17:00 第二杯半价，会员全天可用。回复「入会」就能加入。")],
                [say("自带杯减 5 元；回复「入会」，每满十杯送一杯。")],
            ],
        ),
        _rule(
            "查订单",
            RuleKind.PATTERN,
            [r"^(?:订单|单号|取餐号)\s*[:：]?\s*[a-z]?\d{3,12}$"],
            [[say("查到了，正在做，大约还要五分钟，做好会叫号。")]],
        ),
        _rule(
            "English hours",
            RuleKind.PATTERN,
            [r"\b(?:open|opening|hours?|close[ds]?)\b"],
            [[say("We are open 8:00–21:00, weekends 9:00–22:00. Take it slow!")]],
        ),
    ]


def bindings() -> list[BindingInput]:
    welcome = menu("第一次来的话，可以先看看：", *HELP)
    latte = "带奶的推荐「云朵拿铁」，浅烘豆，奶泡很厚，28 元。"
    return [
        _on("follow", "", [say("欢迎来到山谷咖啡 ☕ 我们不赶时间。"), welcome]),
        _on(
            "follow",
            "poster",
            [tag("海报来的"), say("在海报上看到我们的吧？第一杯立减 8 元，进店把这条给店员看。")],
        ),
        _on(
            "scan",
            "door",
            [tag("到过店"), say("欢迎光临，随便坐。扫桌上的码点单，拿不准就回复「推荐」。")],
        ),
        _on(
            "scan",
            "table-5",
            [tag("到过店"), say("您在 5 号桌，店员这就过来点单。拿不准喝什么，回复「推荐」。")],
        ),
        _on(
            "scan",
            "poster",
            [tag("海报来的"), say("又见到这张海报啦？今天也给您减 8 元，把这条给店员看。")],
        ),
        _on(
            "menu",
            "drink.today",
            [say("今日推荐：云朵拿铁 28 元，桂花手冲 32 元。")],
            [say("今日推荐：海盐燕麦拿铁 30 元，冷萃 26 元。")],
        ),
        _on("menu", "drink.beans", [BEANS]),
        _on("menu", "store.book", [book()]),
        _on("menu", "store.photo", [tag("晒过杯")]),
        _on("menu", "store.near", [tag("问过路")]),
        _on(
            "menu",
            "me.card",
            [tag("看过会员卡"), say("回复「入会」加入会员：每满十杯送一杯，生日当天第二杯半价。")],
        ),
        _on("menu", "pick.latte", [say(latte)]),
        _on(
            "menu",
            "pick.pour",
            [say("黑咖啡推荐「桂花手冲」，32 元；肯等的话，回复「慢慢来」现冲一壶。")],
        ),
        _on("menu", "pick.tea", [say("那就来杯「柚子热茶」，22 元，不含咖啡因。")]),
        _on("menu", "help.hours", [say(HOURS)]),
        _on("menu", "help.where", [say(WHERE)]),
        _on("menu", "help.book", [book()]),
        _on(
            "type",
            "image",
            [say("拍得真好看，收进我们的照片墙啦。")],
            [say("收到照片！下次来给您加份燕麦奶。")],
        ),
        _on("type", "position", [say(f"离您最近的是人民广场店。\n{WHERE}")]),
        _on("type", "voice", [say("语音收到了，店里有点吵，我听不太清，打字告诉我好吗？")]),
        _on("type", "link", [say("链接收到了，得空一起看看。")]),
    ]


def flows() -> list[FlowInput]:
    big_table = {"answer": "size", "at_least": 8}
    plan = {
        "steps": [
            {
                "ask": "好的，几位一起来？",
                "expect": "number",
                "minimum": 1,
                "maximum": 20,
                "save_as": "size",
                "next": [{"if": big_table, "go": "room"}, {"else": "day"}],
            },
            {
                "ask": "{size} 位的话，坐哪儿好呢？",
                "expect": "choice",
                "choices": ["包间", "大厅拼桌"],
                "save_as": "room",
            },
            {
                "ask": "{size} 位，哪一天来？（例如 明天、5月1日）",
                "expect": "date",
                "earliest": "today",
                "latest": "+60d",
                "save_as": "day",
            },
            {"ask": "留个手机号吧，到了好找您。", "expect": "phone", "save_as": "phone"},
        ],
        "expires_seconds": 600,
        "cancel_words": ["取消", "不订了", "算了"],
        "finish": [
            tag("订过位"),
            say(
                "订好了：{day}，{size} 位{room}，座位留到整点后 15 分钟，有事打 {phone} 找您。\n"
                "要改的话回复「订位」重新来一次。"
            ),
        ],
        "cancelled": "好的，先不订了，想来随时说。",
    }
    return [FlowInput(name=BOOKING, plan=plan)]


MENU: dict[str, Any] = {
    "button": [
        {
            "name": "喝什么",
            "sub_button": [
                {"type": "click", "name": "今日推荐", "key": "drink.today"},
                {"type": "click", "name": "本周豆单", "key": "drink.beans"},
                {"type": "click", "name": "慢慢冲一壶", "key": "drink.slow"},
                {"type": "view", "name": "在线菜单", "url": f"{SITE}/menu"},
            ],
        },
        {
            "name": "到店",
            "sub_button": [
                {"type": "click", "name": "订位", "key": "store.book"},
                {"type": "scancode_waitmsg", "name": "扫一扫", "key": "store.scan"},
                {"type": "location_select", "name": "哪家店近", "key": "store.near"},
                {"type": "pic_photo_or_album", "name": "晒一杯", "key": "store.photo"},
            ],
        },
        {"type": "click", "name": "会员", "key": "me.card"},
    ]
}


def _rule(
    name: str, kind: RuleKind, words: list[str], answers: list[Actions], *, priority: int = 0
) -> RuleInput:
    return RuleInput(name=name, kind=kind, words=words, answers=answers, priority=priority)


def _on(place: str, key: str, *answers: Actions) -> BindingInput:
    return BindingInput.model_validate({"on": place, "key": key, "answers": list(answers)})
