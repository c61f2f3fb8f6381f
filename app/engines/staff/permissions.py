"""Roles and rights. Rights are finer than roles; what a role may do is this table, nothing else."""

from enum import StrEnum
from types import MappingProxyType

from app.engines.staff.errors import BadRole


class Role(StrEnum):
    OWNER = "owner"
    ADMIN = "admin"
    LEAD = "lead"
    AGENT = "agent"
    MARKETER = "marketer"
    CASHIER = "cashier"
    READ_ONLY = "read-only"


READS = frozenset({"accounts.read", "replies.read", "traces.read"})
RIGHTS = READS | {
    "accounts.write",
    "plugins.write",
    "replies.write",
    "system.read",
    "tokens.write",
}
"""Every right there is. `traces.read` shows what a follower wrote and which rule answered;
`system.read` the state of the server; `plugins.write` switches plugins on and off."""

ROLE_RIGHTS = MappingProxyType(
    {
        Role.OWNER: RIGHTS,
        Role.ADMIN: RIGHTS,
        Role.LEAD: READS | {"replies.write"},
        Role.AGENT: READS,
        Role.MARKETER: READS | {"replies.write"},
        Role.CASHIER: frozenset({"accounts.read"}),
        Role.READ_ONLY: READS,
    }
)


def parse_role(name: str) -> Role:
    """Raises `BadRole`, which names the known ones."""
    try:
        return Role(name)
    except ValueError as error:
        raise BadRole(role=name, known=", ".join(Role)) from error


def rights_of(role: Role) -> frozenset[str]:
    return ROLE_RIGHTS[role]
