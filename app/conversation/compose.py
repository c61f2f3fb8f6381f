"""From what handlers say to what is sent: few messages, in order, none too long."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from app.core.decisions import AccountView
from app.core.replies import Reply, TextReply
from app.core.text import cut_bytes
from app.wechat.limits import TEXT_BYTES

_JOINT = "\n\n"


def merge(replies: Iterable[Reply]) -> list[Reply]:
    """Texts next to each other become one, joined by a blank line, while they fit in one message.

    A text too long for one message is cut into several, at the last line break or blank that
    leaves at least half a message.
    """
    merged: list[Reply] = []
    for reply in replies:
        if not isinstance(reply, TextReply):
            merged.append(reply)
            continue
        if not reply.text.strip():
            continue
        last = merged[-1] if merged else None
        if isinstance(last, TextReply):
            joined = last.text + _JOINT + reply.text
            if len(joined.encode()) <= TEXT_BYTES:
                merged[-1] = TextReply(joined)
                continue
        merged.extend(TextReply(part) for part in split(reply.text))
    return merged


def split(text: str, limit: int = TEXT_BYTES) -> list[str]:
    """The text in parts of at most `limit` bytes of UTF-8, none empty."""
    parts: list[str] = []
    while len(text.encode()) > limit:
        head = cut_bytes(text, limit)
        border = max(head.rfind("\n"), head.rfind(" "))
        if border > len(head) // 2:
            head = head[:border]
        parts.append(head)
        text = text[len(head) :].lstrip("\n ")
    return [*parts, text] if text else parts


def join_held(held: Sequence[Reply], new: Reply | None) -> tuple[Reply | None, int, bool]:
    """One passive answer out of what waited and what is new.

    Gives the answer, how many of `held` it carries (from the first on), and whether it carries
    `new` too. Order is kept: what waited longest goes first.
    """
    if not held:
        return new, 0, new is not None
    first, carried = held[0], 1
    if not isinstance(first, TextReply):
        return first, 1, False
    queue: list[Reply] = [*held[1:], *([new] if new is not None else [])]
    for reply in queue:
        if not isinstance(reply, TextReply):
            break
        joined = first.text + _JOINT + reply.text
        if len(joined.encode()) > TEXT_BYTES:
            break
        first = replace(first, text=joined)
        carried += 1
    takes_new = new is not None and carried == len(held) + 1
    return first, min(carried, len(held)), takes_new


def apology(account: AccountView) -> TextReply:
    """What a follower hears when a handler failed: an honest word and, if known, a person's contact."""
    words = "抱歉，刚才处理您的消息时出了点问题，我们已经收到并会尽快处理。"
    return TextReply(f"{words}\n{account.contact}" if account.contact else words)
