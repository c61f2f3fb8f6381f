"""Nobody had an answer: never a dead end, never nagging."""

from datetime import timedelta

from app.conversation.router import Router
from app.core.decisions import Decision, Snapshot
from app.core.incoming import Kind
from app.core.replies import TextReply
from app.engines.replies.answers import is_answer
from app.engines.replies.options import OPTIONS
from app.engines.replies.understanding import is_unsupported

NOT_UNDERSTOOD = "抱歉，我还没听懂。换个说法试试，或点下方菜单看看。"
NOT_UNDERSTOOD_AGAIN = "抱歉，还是没能帮上您。您的留言我们已经收到。"
STICKER = "收到您的表情啦😊 有什么想问的，直接打字告诉我就好。"
WELCOME = "您好，感谢关注！有什么想了解的，直接发消息告诉我。"
SCANNED = "扫码成功。这个二维码暂时没有内容，有需要直接发消息告诉我。"
TAPPED = "这个按钮暂时没有内容，有需要直接发消息告诉我。"
RECEIVED = "已收到。有什么想问的，用文字告诉我会更快。"
TIMED_OUT = "刚才的填写隔得有点久，已经结束了。如需继续，请重新开始。"
CUT_OFF = "抱歉，刚才的填写没能接上。请稍后再回复一次，或重新开始。"
TIMED_OUT_FOR = timedelta(hours=1)
"""After a dialogue's end, how long a message is taken for a late answer to it."""

_SILENT = frozenset({Kind.LOCATION, Kind.MENU_LINK, Kind.UNFOLLOW, Kind.OTHER})
_OFTEN = 2
"""Misses in a row, this one counted, from which a person is named."""


def router() -> Router:
    routes = Router("fallback")

    @routes.decide()
    def fallback(snap: Snapshot) -> Decision:
        """Silence where nothing would be shown or nobody asked; else words that lead on."""
        kind = snap.incoming.kind
        if kind in _SILENT or not snap.incoming.answerable:
            ends = kind is Kind.UNFOLLOW and snap.flow is not None
            return Decision(flow=None, why={"silent": kind.value}) if ends else _silent(kind)
        if kind is Kind.FOLLOW:
            return Decision(steps=(TextReply(WELCOME),), flow=None, why={"fallback": "welcome"})
        if kind is Kind.SCAN:
            return Decision.say(TextReply(SCANNED), fallback="scan", scene=snap.incoming.key)
        if kind is Kind.MENU:
            return Decision.say(TextReply(TAPPED), fallback="menu", key=snap.incoming.key)
        if is_unsupported(snap.incoming):
            return Decision.say(TextReply(STICKER), fallback="sticker")
        if _is_late_answer(snap):
            return Decision(steps=(TextReply(TIMED_OUT),), flow=None, why={"fallback": "timed out"})
        return _missed(snap)

    return routes


def _silent(kind: Kind) -> Decision:
    return Decision(why={"silent": kind.value})


def _is_late_answer(snap: Snapshot) -> bool:
    flow = snap.flow
    if flow is None or flow.flow == OPTIONS:
        return False
    return flow.expires_at <= snap.now < flow.expires_at + TIMED_OUT_FOR


def _is_cut_off(snap: Snapshot) -> bool:
    """The dialogue that runs is one that this process cannot carry on: an action in it belongs to a
    plugin that could not be loaded, or its rules are a second behind another process's."""
    flow = snap.flow
    if flow is None or not flow.version or flow.paused or flow.expires_at <= snap.now:
        return False
    return is_answer(snap.incoming)


def _missed(snap: Snapshot) -> Decision:
    """From the second miss in a row on, the shop's contact words."""
    misses = snap.conversation.misses + 1
    first = NOT_UNDERSTOOD if snap.incoming.kind is Kind.TEXT else RECEIVED
    if _is_cut_off(snap):
        first = CUT_OFF
    words = first if misses < _OFTEN else NOT_UNDERSTOOD_AGAIN
    if misses >= _OFTEN and snap.account.contact:
        words = f"{words}\n{snap.account.contact}"
    why = {"fallback": "missed", "misses": misses}
    return Decision(steps=(TextReply(words),), missed=True, why=why)
