"""Menus in numbered text: the number that a follower types stands for the option. Pure.

A passive answer cannot carry a message menu, so its options go out numbered. What the numbers mean
is kept as the state of a dialogue of the program's own.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from app.core.decisions import KEEP, FlowState, Keep, Snapshot
from app.core.incoming import Incoming, Kind
from app.core.replies import MenuReply
from app.engines.replies.understanding import number

OPTIONS = "~options"
LIFE = timedelta(minutes=10)


def remember(menu: MenuReply, snap: Snapshot) -> FlowState | Keep:
    """The state in which the numbers are understood. A dialogue that runs is left alone."""
    flow = snap.flow
    if flow is not None and flow.flow != OPTIONS and flow.expires_at > snap.now:
        return KEEP
    answers: Mapping[str, Any] = {str(n): list(o) for n, o in enumerate(menu.options, 1)}
    return FlowState(OPTIONS, 0, answers, snap.now + LIFE)


def tapped(snap: Snapshot) -> Incoming | None:
    """The contact as if the option had been tapped, when a number of the last menu was typed."""
    incoming, flow = snap.incoming, snap.flow
    if flow is None or incoming.kind is not Kind.TEXT or incoming.key:
        return None
    option = flow.answers.get(str(number(incoming.text)))
    if option is None:
        return None
    return replace(incoming, key=option[0], text=option[1])
