"""What an account of a kind may do: the platform's permission table as data.

Source: protocol reference 5 (the platform's permission table, with the applicability tables of its
interfaces). The platform has the last word: an interface may answer 48001 all the same.
"""

from enum import StrEnum


class Capability(StrEnum):
    API = "api"
    """Access token and server addresses."""
    RECEIVE = "receive"
    """Messages and events in, passive answers out."""
    SAFE_MODE = "safe_mode"
    MENU = "menu"
    CONDITIONAL_MENU = "conditional_menu"
    CUSTOMER_MESSAGES = "customer_messages"
    MESSAGE_MENU = "message_menu"
    AGENT_TOOL = "agent_tool"
    MASS_BY_TAG = "mass_by_tag"
    MASS_BY_LIST = "mass_by_list"
    TEMPLATES = "templates"
    SUBSCRIBE_ONCE = "subscribe_once"
    """One-time subscription messages."""
    FOLLOWER_INFO = "follower_info"
    """Profiles, list, tags, remarks, blacklist."""
    LOCATION_EVENTS = "location_events"
    WEB_AUTHORISATION = "web_authorisation"
    SCENE_CODES = "scene_codes"
    """Codes with a parameter, short keys."""
    MEDIA = "media"
    PUBLISH = "publish"
    """Drafts and publishing; in part only for an unverified service account."""
    STATISTICS = "statistics"
    PAGE_SDK = "page_sdk"
    PAGE_SHARING = "page_sharing"


_EVERYBODY = frozenset(
    {Capability.API, Capability.RECEIVE, Capability.SAFE_MODE, Capability.PAGE_SDK}
)
_SUBSCRIPTION = _EVERYBODY | {
    Capability.MENU,
    Capability.CONDITIONAL_MENU,
    Capability.CUSTOMER_MESSAGES,
    Capability.AGENT_TOOL,
    Capability.MASS_BY_TAG,
    Capability.SUBSCRIBE_ONCE,
    Capability.FOLLOWER_INFO,
    Capability.MEDIA,
    Capability.PUBLISH,
    Capability.STATISTICS,
    Capability.PAGE_SHARING,
}
_SERVICE = _SUBSCRIPTION | {
    Capability.MESSAGE_MENU,  # a subscription account mostly gets 40200
    Capability.MASS_BY_LIST,
    Capability.TEMPLATES,
    Capability.LOCATION_EVENTS,
    Capability.WEB_AUTHORISATION,
    Capability.SCENE_CODES,
}
_SERVICE_UNVERIFIED = _EVERYBODY | {Capability.MENU, Capability.PUBLISH}


_TABLE = {
    ("subscription", False): _EVERYBODY,
    ("subscription", True): _SUBSCRIPTION,
    ("service", False): _SERVICE_UNVERIFIED,
    ("service", True): _SERVICE,
}


def capabilities(kind: str, verified: bool) -> frozenset[Capability]:
    """What an account may do. Raises `ValueError` for a kind that does not exist."""
    if (kind, verified) not in _TABLE:
        raise ValueError(f"unknown kind of account: {kind!r}")
    return _TABLE[kind, verified]


def may_send(kind: str, verified: bool) -> bool:
    """Whether the account may send customer messages; if not, only passive answers exist."""
    return Capability.CUSTOMER_MESSAGES in capabilities(kind, verified)
