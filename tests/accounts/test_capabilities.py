import pytest

from app.accounts.capabilities import Capability, capabilities, may_send


@pytest.mark.parametrize(
    ("kind", "verified", "expected"),
    [
        ("subscription", False, False),
        ("subscription", True, True),
        ("service", False, False),
        ("service", True, True),
    ],
)
def test_only_verified_accounts_send_customer_messages(
    kind: str, verified: bool, expected: bool
) -> None:
    assert may_send(kind, verified) is expected


def test_everybody_receives_and_answers_in_safe_mode() -> None:
    for kind in ("subscription", "service"):
        for verified in (False, True):
            assert capabilities(kind, verified) >= {Capability.RECEIVE, Capability.SAFE_MODE}


def test_what_only_a_verified_service_account_may() -> None:
    only = capabilities("service", True) - capabilities("subscription", True)
    assert only == {
        Capability.MESSAGE_MENU,
        Capability.MASS_BY_LIST,
        Capability.TEMPLATES,
        Capability.LOCATION_EVENTS,
        Capability.WEB_AUTHORISATION,
        Capability.SCENE_CODES,
    }


def test_an_unverified_service_account_has_a_menu_but_no_conditional_one() -> None:
    found = capabilities("service", False)
    assert Capability.MENU in found
    assert Capability.CONDITIONAL_MENU not in found
    assert Capability.MENU not in capabilities("subscription", False)


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="mini_program"):
        capabilities("mini_program", True)
