"""The sample shop's own handlers: a plugin like any other, but that it comes with the program."""

import asyncio

from app.plugins import (
    Context,
    Decision,
    Keyword,
    MenuKey,
    Plugin,
    Router,
    Snapshot,
    TextReply,
    Tx,
    tag,
)

BREWING_SECONDS = 6.0
"""Longer than the platform waits for an answer, so that this one comes by customer message."""
TASTED = "喝过手冲"
_COUPON = "CPN-"
_TABLE = "TABLE-"


router = Router("valley")


@router.apart(Keyword("慢慢来", "手冲"), MenuKey("drink.slow"))
async def brew(ctx: Context) -> TextReply:
    """Takes its time; the first cup is remembered as a tag."""
    await asyncio.sleep(BREWING_SECONDS)

    async def remember(tx: Tx) -> bool:
        return await tag(ctx, tx, TASTED)

    first = await ctx.transaction(remember)
    greeting = "这是您在山谷的第一杯手冲，慢慢喝。" if first else "又见面了，还是老样子，慢慢喝。"
    return TextReply(f"久等了，您的耶加雪菲冲好了 ☕\n{greeting}")


@router.decide(MenuKey("store.scan"))
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


plugin = Plugin(name="valley", api=1, version="1", routers=[router])
