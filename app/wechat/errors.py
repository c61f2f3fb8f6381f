"""What the platform's error codes mean for us and what people can do about them.

The codes themselves are data, in `app.wechat.error_table`.
"""

import re
from collections.abc import Mapping
from typing import Any

from app.wechat.error_table import BY_CODE, PlatformError, Stops

__all__ = ["PlatformError", "Stops", "WechatError", "error_in", "lookup"]

_RID = re.compile(r"[,;\s]*\brid:\s*([0-9A-Za-z-]+)\s*")


class WechatError(Exception):
    """The platform refused a call.

    `rid` names the call to the platform's support and to `/cgi-bin/openapi/rid/get`; it is taken out
    of `errmsg`, at whose end it comes.
    """

    def __init__(self, code: int, errmsg: str = "", rid: str = "") -> None:
        found = _RID.search(errmsg)
        if found:
            errmsg = (errmsg[: found.start()] + errmsg[found.end() :]).strip()
            rid = rid or found[1]
        super().__init__(code, errmsg, rid)
        self.code = code
        self.errmsg = errmsg
        self.rid = rid

    @property
    def meaning(self) -> PlatformError:
        return lookup(self.code)

    def say(self, lang: str = "zh") -> str:
        """What happened and what to do, with everything support will ask for."""
        meaning = self.meaning
        known = " ".join(
            part
            for part in (str(self.code), self.errmsg, f"rid: {self.rid}" if self.rid else "")
            if part
        )
        if lang.lower().startswith("en"):
            return f"{meaning.en_meaning} ({known}). {meaning.en_remedy}"
        return f"{meaning.zh_meaning}（{known}）。{meaning.zh_remedy}"

    def __str__(self) -> str:
        return self.say("en")


def lookup(code: int) -> PlatformError:
    """What is known of a code; for one that is not listed, that it stops the call at hand."""
    return BY_CODE.get(code) or PlatformError(
        code,
        retry=False,
        refresh_token=False,
        stops="call",
        zh_meaning="微信返回了未收录的错误",
        zh_remedy="请按错误信息检查本次请求；如需帮助，请把错误码和 rid 提供给微信客服",
        en_meaning="WeChat returned an error that is not listed",
        en_remedy="Check the request against the message; give code and rid to WeChat's support.",
    )


def error_in(answer: Mapping[str, Any]) -> WechatError | None:
    """The error an API answer carries; `None` when errcode is 0 or absent, which is success."""
    code = answer.get("errcode", 0)
    if not isinstance(code, int) or code == 0:
        return None
    return WechatError(code, str(answer.get("errmsg", "")))
