"""What an account's settings must look like. Pure; each check raises its own refusal."""

import re
from zoneinfo import ZoneInfo

from app.accounts.errors import (
    AesKeyMissing,
    BadAesKey,
    BadAppId,
    BadContact,
    BadKind,
    BadMode,
    BadName,
    BadOriginalId,
    BadSecret,
    BadSlug,
    BadTimeZone,
    BadToken,
)

NAME_CHARACTERS = 80
CONTACT_CHARACTERS = 300
DEFAULT_TIMEZONE = "Asia/Shanghai"

_SLUG = re.compile(r"[a-z0-9-]{2,40}")
_ORIGINAL_ID = re.compile(r"gh_[A-Za-z0-9]{1,37}")
_APPID = re.compile(r"wx[A-Za-z0-9]{16}")
_SECRET = re.compile(r"[A-Za-z0-9]{16,128}")
_TOKEN = re.compile(r"[A-Za-z0-9]{3,32}")  # protocol reference 1.1
_AES_KEY = re.compile(r"[A-Za-z0-9]{43}")


def check_slug(slug: str) -> None:
    if not _SLUG.fullmatch(slug):
        raise BadSlug(slug=slug)


def check_name(name: str) -> None:
    if not 1 <= len(name.strip()) <= NAME_CHARACTERS or "\0" in name:
        raise BadName(limit=NAME_CHARACTERS)


def check_contact(contact: str) -> None:
    if len(contact) > CONTACT_CHARACTERS or "\0" in contact:
        raise BadContact(limit=CONTACT_CHARACTERS)


def check_kind(kind: str) -> None:
    if kind not in ("subscription", "service"):
        raise BadKind(kind=kind)


def check_mode(mode: str, *, has_aes_key: bool) -> None:
    if mode not in ("plain", "compat", "safe"):
        raise BadMode(mode=mode)
    if mode != "plain" and not has_aes_key:
        raise AesKeyMissing(mode=mode)


def check_original_id(original_id: str | None) -> None:
    if original_id is not None and not _ORIGINAL_ID.fullmatch(original_id):
        raise BadOriginalId(original_id=original_id)


def check_appid(appid: str) -> None:
    if not _APPID.fullmatch(appid):
        raise BadAppId(appid=appid)


def check_secret(secret: str) -> None:
    if not _SECRET.fullmatch(secret):
        raise BadSecret


def check_token(token: str) -> None:
    if not _TOKEN.fullmatch(token):
        raise BadToken


def check_aes_key(aes_key: str) -> None:
    if not _AES_KEY.fullmatch(aes_key):
        raise BadAesKey


def check_timezone(timezone: str) -> None:
    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError) as error:
        raise BadTimeZone(timezone=timezone) from error
