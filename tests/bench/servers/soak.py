"""The product with one handler that takes its time, for the soak."""

import asyncio

from app.conversation.apart import Context
from app.conversation.filters import Keyword
from app.conversation.router import Router
from app.core.log import setup_logging
from app.core.replies import TextReply
from app.core.settings import Settings
from app.main import create_app
from app.runtime import Extensions
from tests.bench.chatter import SLOW_SECONDS, SLOW_WORD

router = Router("soak")


@router.apart(Keyword(SLOW_WORD))
async def slow(ctx: Context) -> TextReply:
    await asyncio.sleep(SLOW_SECONDS)
    return TextReply(f"查到了，{ctx.incoming.text}：今天晴，适合散步，记得带上会员卡来喝一杯。")


setup_logging("json", "warning")
app = create_app(Settings(), extensions=Extensions(routers=[router]))
