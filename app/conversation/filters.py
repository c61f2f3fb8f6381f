"""When a handler is asked: small predicates over the snapshot."""

from collections.abc import Callable
from typing import TypeAlias

import re2

from app.core.decisions import Snapshot
from app.core.incoming import Kind
from app.core.text import normalise

Filter: TypeAlias = Callable[[Snapshot], bool]


def Keyword(*words: str) -> Filter:  # noqa: N802  # reads like the class it stands for
    """The whole text is one of the words, compared as `core.text.normalise` does."""
    wanted = frozenset(normalise(word) for word in words)
    return lambda snap: snap.incoming.kind is Kind.TEXT and normalise(snap.incoming.text) in wanted


def Pattern(pattern: str) -> Filter:  # noqa: N802
    """The RE2 pattern occurs in the normalised text. Linear in its length, whatever the pattern."""
    compiled = re2.compile(pattern)
    return lambda snap: (
        snap.incoming.kind is Kind.TEXT
        and compiled.search(normalise(snap.incoming.text)) is not None
    )


def MenuKey(*keys: str) -> Filter:  # noqa: N802
    return lambda snap: snap.incoming.kind is Kind.MENU and snap.incoming.key in keys


def Scene(*scenes: str) -> Filter:  # noqa: N802
    """One of these codes was scanned, by somebody who follows or who follows through it."""
    return lambda snap: (
        snap.incoming.kind in (Kind.SCAN, Kind.FOLLOW) and snap.incoming.key in scenes
    )


def OfKind(*kinds: Kind) -> Filter:  # noqa: N802
    return lambda snap: snap.incoming.kind in kinds


def InFlow(*flows: str) -> Filter:  # noqa: N802
    """A dialogue runs: one of these, or any when none is named. An expired one does not count."""
    return lambda snap: (
        snap.flow is not None
        and snap.flow.expires_at > snap.now
        and (not flows or snap.flow.flow in flows)
    )
