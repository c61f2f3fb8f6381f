"""The platform's numbers, by name.

Each names its place in WeChat's documentation as of 2026, or says that it was seen by developers
("reported") or chosen by us ("ours") because the platform states none. Windows are two ends of one
thing: how many customer messages an interaction allows, and for how long.
"""

from types import MappingProxyType
from typing import Final

from app.core.incoming import Grant

# Callback

REPLY_SECONDS: Final = 5
"""After this the platform drops the connection and asks again. Passive replies, first section."""
DELIVERY_ATTEMPTS: Final = 3
"""Attempts in all; other pages say three repeats. Receiving messages."""
ATTEMPT_SPACING_SECONDS: Final = 5
"""Between the attempts of one delivery; reported."""
ANSWER_BUDGET_SECONDS: Final = 4.5
"""Ours: an answer leaves before this, with room for the way."""
REPEAT_WAIT_SECONDS: Final = 4.0
"""Ours: how long a repeat waits for the result of the first attempt."""
BODY_BYTES: Final = 64 * 1024
"""Ours: the largest body accepted; the largest ever seen, a mass report, stays under 16 KiB."""
TIMESTAMP_WINDOW_SECONDS: Final = 600
"""Ours: how far a signed timestamp may be from our clock, each way."""
ECHOSTR_BYTES: Final = 256
"""Ours: the longest echostr sent back."""
TOKEN_CHARACTERS: Final = (3, 32)
"""Least and most letters or digits of a callback token. Access guide of the console; reported."""
AES_KEY_CHARACTERS: Final = 43
"""Letters and digits of an EncodingAESKey. Message encryption."""
EVENT_RETENTION_SECONDS: Final = 24 * 3600
"""Card events are repeated for this long. Change log of the card interfaces."""

# What is said

TEXT_BYTES: Final = 2048
"""UTF-8 bytes of a text, passive or customer message; no page states it any more: reported, ours."""
ARTICLES: Final = 1
"""Article cards in one answer or customer message, since 12 October 2018. Error code 45008."""
TITLE_BYTES: Final = 192
"""Ours, 64 Chinese characters: longer ones end in 45003, clients show two lines."""
DESCRIPTION_BYTES: Final = 360
"""Ours, 120 Chinese characters: longer ones end in 45004, clients show three lines."""
URL_BYTES: Final = 1024
"""Of a link, as in menus; longer ones end in 45005 or 45006. Custom menu, field url."""
MEDIA_DAYS: Final = 3
"""A temporary media id lives this long. Temporary media."""
VOICE_SECONDS: Final = 60
"""Error code 45007."""

# Customer messages: how many, for how many seconds. Customer-service messages, table of allowances.

MESSAGE_WINDOW: Final = (5, 48 * 3600)
"""After a follower wrote."""
MENU_WINDOW: Final = (3, 60)
"""After a tap on a click, scancode_push or scancode_waitmsg button, or on a message-menu option."""
SUBSCRIBE_WINDOW: Final = (3, 60)
"""After a follow."""
SCAN_WINDOW: Final = (3, 60)
"""After a scan of one of the account's codes."""
WINDOWS: Final = MappingProxyType(
    {
        Grant.MESSAGE: MESSAGE_WINDOW,
        Grant.MENU: MENU_WINDOW,
        Grant.SUBSCRIBE: SUBSCRIBE_WINDOW,
        Grant.SCAN: SCAN_WINDOW,
    }
)
TYPING_SECONDS: Final = 15
"""How long a typing mark lasts. Customer-service typing state."""
TYPING_EXCHANGE_SECONDS: Final = 30
"""A typing mark needs an exchange this recent, else 45080. Customer-service typing state."""

# Access token. Stable token.

ACCESS_TOKEN_SECONDS: Final = 7200
"""Longest life; `expires_in` is at least 300."""
ACCESS_TOKEN_OVERLAP_SECONDS: Final = 300
"""The old token still works for this long after a new one was given."""
ACCESS_TOKEN_CHARACTERS: Final = 512
"""Room to keep for a token."""
STABLE_TOKEN_PER_MINUTE: Final = 10_000
STABLE_TOKEN_PER_DAY: Final = 500_000
FORCED_REFRESHES_PER_DAY: Final = 20
FORCED_REFRESH_SPACING_SECONDS: Final = 30
QUOTA_RESETS_PER_MONTH: Final = 10
"""Calls of clear_quota. API quotas."""

# Menus. Custom menu; conditional menu.

MENU_BUTTONS: Final = 3
MENU_SUB_BUTTONS: Final = 5
MENU_NAME_BYTES: Final = 16
MENU_SUB_NAME_BYTES: Final = 60
MENU_KEY_BYTES: Final = 128
MENU_URL_BYTES: Final = 1024
CONDITIONAL_MENU_DOMAINS: Final = 3
"""Outside domains over all conditional menus, else 65316."""
MENU_CACHE_SECONDS: Final = 300
"""The client fetches a menu again when its copy is older."""

# Followers. User management; tags; blacklist.

OPENID_CHARACTERS: Final = 28
FOLLOWER_PAGE: Final = 10_000
USER_INFO_BATCH: Final = 100
TAGS: Final = 100
TAG_NAME_BYTES: Final = 30
"""By the text of error 45158; the field's page says characters."""
TAG_BATCH: Final = 50
TAGS_PER_FOLLOWER: Final = 20
BLACKLIST_BATCH: Final = 20
REMARK_CHARACTERS: Final = 29
"""A remark has fewer than 30."""

# Mass messages. Mass sending.

MASS_LIST: Final = (2, 10_000)
"""Least and most openids in one list."""
MASS_PER_FOLLOWER_PER_MONTH: Final = 4
"""Service accounts, calendar month, console and API together."""
MASS_CALLS_PER_MINUTE: Final = 60

# Codes. Parametric QR codes.

SCENE_CHARACTERS: Final = 64
"""Of a text scene."""
QR_SECONDS: Final = 30 * 24 * 3600
"""Longest life of a temporary code."""
PERMANENT_QR_CODES: Final = 100_000
