"""The sample shop's own handlers, written as a plugin would write them."""

import asyncio

from app.conversation.apart import Context
from app.conversation.filters import Keyword, MenuKey
from app.conversation.router import Router
from app.core.decisions import Decision, Snapshot
from app.core.replies import TextReply
from app.db.tx import Tx
from app.engines.followers.tagging import Tagging
from app.runtime import Extensions

BREWING_SECONDS = 6.0
"""Longer than the platform waits for an answer, so that this one comes by customer message."""
TASTED = "喝过手冲"
_COUPON = "CPN-"
_TABLE = "TABLE-"


def extensions() -> Extensions:
    return Extensions(routers=[shop_router()])


def shop_router() -> Router:
    routes = Router("valley")
    routes.apart(Keyword("慢慢来", "手冲"), MenuKey("drink.slow"))(brew)
    routes.decide(MenuKey("store.scan"))(scanned)
    return routes


async def brew(ctx: Context) -> TextReply:
    """Takes its time; the first cup is remembered as a tag."""
    await asyncio.sleep(BREWING_SECONDS)

    async def remember(tx: Tx) -> bool:
        tagging = Tagging(ctx.services.ids, ctx.clock)
        (first,) = await tagging.add_many(tx, [(ctx.follower.id, TASTED, ctx.key)])
        return first

    first = await ctx.transaction(remember)
    greeting = "这是您在山谷的第一杯手冲，慢慢喝。" if first else "又见面了，还是老样子，慢慢喝。"
    return TextReply(f"久等了，您的耶加雪菲冲好了 ☕\n{greeting}")


def scanned(snap: Snapshot) -> Decision:
    """What the button 扫码 read: a table's code, a coupon, or something of other people."""
    code = str(snap.incoming.data.get("code", ""))
    if code.startswith(_TABLE):
        words = f"您在 {code.removeprefix(_TABLE)} 号桌，店员这就过来点单。"
    elif code.startswith(_COUPON):
        words = f"券码 {code} 收到了，请把这一屏给店员看，由店员核销。"
    else:
        words = f"扫到的内容是：{code}\n这不是我们的桌码或券码，您再看看？"
    return Decision.say(TextReply(words), code=code)
