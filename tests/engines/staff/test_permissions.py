import pytest

from app.engines.staff.errors import BadRole
from app.engines.staff.permissions import READS, RIGHTS, Role, parse_role, rights_of


def test_every_role_has_rights_that_exist() -> None:
    for role in Role:
        assert rights_of(role) <= RIGHTS
        assert rights_of(role)


def test_reading_only_means_reading_only() -> None:
    assert rights_of(Role.READ_ONLY) == READS
    assert all(right.endswith(".read") for right in READS)


def test_only_owners_and_admins_make_tokens() -> None:
    assert {role for role in Role if "tokens.write" in rights_of(role)} == {Role.OWNER, Role.ADMIN}


def test_who_writes_replies() -> None:
    writers = {role for role in Role if "replies.write" in rights_of(role)}
    assert writers == {Role.OWNER, Role.ADMIN, Role.LEAD, Role.MARKETER}


def test_a_cashier_does_not_read_what_followers_write() -> None:
    assert "traces.read" not in rights_of(Role.CASHIER)


def test_an_unknown_role_names_the_known_ones() -> None:
    with pytest.raises(BadRole) as caught:
        parse_role("king")
    assert "read-only" in caught.value.say("en")
