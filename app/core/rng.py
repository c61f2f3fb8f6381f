"""Chance comes from here: draws that a test can repeat, secrets that nobody can."""

import hashlib
import random
import secrets
from collections.abc import Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class Rng(Protocol):
    """Draws for jitter and games. Never for anything that must not be guessed."""

    def random(self) -> float: ...

    def choice(self, items: Sequence[T]) -> T: ...


class SystemRng(random.Random):
    """Seeded by the operating system."""


class SeededRng(random.Random):
    """The same draws for the same seed."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)


def pick(items: Sequence[T], key: str) -> T:
    """One of `items`, always the same one for the same key.

    A repeated delivery and a dry run with its key therefore agree.
    """
    digest = hashlib.sha256(key.encode()).digest()
    return items[int.from_bytes(digest[:8], "big") % len(items)]


def secret_token(nbytes: int = 32) -> str:
    """An unguessable URL-safe string with `nbytes` bytes of entropy."""
    return secrets.token_urlsafe(nbytes)


def secret_bytes(nbytes: int) -> bytes:
    return secrets.token_bytes(nbytes)


def secret_digits(length: int) -> str:
    """An unguessable string of decimal digits, as nonces of the platform are."""
    return f"{secrets.randbelow(10**length):0{length}d}"
