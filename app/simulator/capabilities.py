"""Which account may call what. Protocol reference 5."""

from typing import Literal

from app.simulator.model import Account

Ability = Literal[
    "basic", "menu", "conditional_menu", "customer_message", "msgmenu", "users", "qrcode", "media"
]
"""`basic`: every account."""

_VERIFIED_OF_BOTH_KINDS = frozenset({"conditional_menu", "customer_message", "users", "media"})


def may(account: Account, ability: Ability) -> bool:
    if ability == "basic":
        return True
    if ability == "menu":
        return account.verified or account.kind == "service"
    if ability in _VERIFIED_OF_BOTH_KINDS:
        return account.verified
    return account.verified and account.kind == "service"
