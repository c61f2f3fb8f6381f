"""Signatures and encryption of the callback: plain, compatible and safe mode.

Protocol reference 1.3 to 1.6. AES-256-CBC with the first 16 bytes of the key as fixed IV; plaintext:
16 random bytes, length of the message (4 bytes, big-endian), message, appid; PKCS#7 to 32 bytes.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC

from app.core.rng import secret_bytes
from app.wechat.limits import (
    AES_KEY_CHARACTERS,
    ECHOSTR_BYTES,
    TIMESTAMP_WINDOW_SECONDS,
)
from app.wechat.xml import NotUnderstood, read_xml

_BLOCK = 32
_RANDOM = 16
_LENGTH = 4
_TIMESTAMP = re.compile(r"[0-9]{1,11}")
_ECHOSTR = re.compile(rf"[A-Za-z0-9+/=_-]{{1,{ECHOSTR_BYTES}}}")
_NOT_IN_NONCE = re.compile(r"[^A-Za-z0-9]")


class Forbidden(Exception):
    """The delivery is not, or not provably, WeChat's: 403 and nothing else. `reason` is a stable slug."""

    reason = "forbidden"


class BadSignature(Forbidden):
    """Signed with another token, or not at all."""

    reason = "bad-signature"


class StaleTimestamp(Forbidden):
    """Rightly signed, but too long ago or ahead; a wrong server clock looks like an attack.

    `skew` is our clock minus the delivery's, in seconds.
    """

    reason = "stale-timestamp"

    def __init__(self, skew: int) -> None:
        super().__init__(f"timestamp is {skew} s away")
        self.skew = skew


class Downgrade(Forbidden):
    """A body in clear to an account in safe mode."""

    reason = "downgrade"


class WrongAppId(Forbidden):
    """Encrypted with our key, but for another account."""

    reason = "wrong-appid"


class Undecryptable(Forbidden):
    """Rightly signed, but none of our keys fits: the key was changed on one side only."""

    reason = "undecryptable"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an operator copied from the platform."""

    appid: str
    token: str = field(repr=False)
    mode: Literal["plain", "compat", "safe"]
    aes_keys: tuple[str, ...] = field(default=(), repr=False)
    """EncodingAESKeys, the current one first, then the previous one."""


@dataclass(frozen=True, slots=True)
class Opened:
    xml: str = field(repr=False)
    key_index: int | None
    """Which key opened it, and must seal the answer; `None`: came in clear, is answered in clear."""


def signature(token: str, *parts: str) -> str:
    """SHA-1, in lower-case hex, over the sorted parts joined without anything between."""
    joined = "".join(sorted((token, *parts))).encode(errors="surrogatepass")
    return hashlib.sha1(joined, usedforsecurity=False).hexdigest()


def is_echostr(text: str) -> bool:
    """Whether a verification's echostr may be sent back: nothing in it that a browser could run."""
    return _ECHOSTR.fullmatch(text) is not None


class Codec:
    """Checks, opens and seals for one account; safe to use from several threads."""

    def __init__(self, credentials: Credentials) -> None:
        """Raises `ValueError` for an empty token, a key that is none, or a missing one."""
        if not credentials.token:
            raise ValueError("an empty token would accept deliveries from anybody")
        if credentials.mode != "plain" and not credentials.aes_keys:
            raise ValueError(f"{credentials.mode} mode needs an EncodingAESKey")
        self._token = credentials.token
        self._safe = credentials.mode == "safe"
        self._appid = credentials.appid.encode()
        self._ciphers = tuple(_cipher(key) for key in credentials.aes_keys)

    def check(self, signature: str, timestamp: str, nonce: str, now: int) -> None:
        """Accepts a request signed with our token at most ten minutes away from `now` (unix seconds).

        Raises `BadSignature` or `StaleTimestamp`. The signature never covers the body.
        """
        self._compare(signature, timestamp, nonce)
        if not _TIMESTAMP.fullmatch(timestamp):
            raise BadSignature("timestamp is no number")
        skew = now - int(timestamp)
        if abs(skew) > TIMESTAMP_WINDOW_SECONDS:
            raise StaleTimestamp(skew)

    def open(self, body: bytes, query: Mapping[str, str]) -> Opened:
        """The XML of a delivery. `encrypt_type` decides what the body is, not its look.

        Of a compatible body the encrypted part is read: only that is signed. Raises a `Forbidden`
        (`BadSignature`, `Downgrade`, `WrongAppId`, `Undecryptable`), or `NotUnderstood` when the
        envelope is no XML with an Encrypt element or the text no UTF-8.
        """
        if query.get("encrypt_type", "").lower() != "aes":
            if self._safe:
                raise Downgrade("a body in clear to an account in safe mode")
            return Opened(_text(body), None)
        encrypted = _encrypted(body)
        self._compare(
            query.get("msg_signature", ""),
            query.get("timestamp", ""),
            query.get("nonce", ""),
            encrypted,
        )
        return self._decrypt(encrypted)

    def seal(
        self,
        xml: str,
        key_index: int,
        *,
        timestamp: int,
        nonce: str,
        random16: bytes | None = None,
    ) -> str:
        """The encrypted envelope of an answer.

        Of `nonce` only letters and digits are used. `random16` is for byte-exact tests alone: a
        constant one would show which answers begin alike. Raises `ValueError` for an empty answer:
        `success` goes out in clear, in every mode.
        """
        if not xml:
            raise ValueError("an empty answer is never sealed")
        prefix = secret_bytes(_RANDOM) if random16 is None else random16
        if len(prefix) != _RANDOM:
            raise ValueError(f"random16 has {len(prefix)} bytes")
        message = xml.encode()
        plain = prefix + len(message).to_bytes(_LENGTH, "big") + message + self._appid
        padding = _BLOCK - len(plain) % _BLOCK
        encryptor = self._ciphers[key_index].encryptor()
        cipher = encryptor.update(plain + bytes([padding]) * padding) + encryptor.finalize()
        encrypted = base64.b64encode(cipher).decode()
        nonce = _NOT_IN_NONCE.sub("", nonce) or str(timestamp)
        signed = signature(self._token, str(timestamp), nonce, encrypted)
        return (
            f"<xml>\n<Encrypt><![CDATA[{encrypted}]]></Encrypt>\n"
            f"<MsgSignature><![CDATA[{signed}]]></MsgSignature>\n"
            f"<TimeStamp>{timestamp}</TimeStamp>\n"
            f"<Nonce><![CDATA[{nonce}]]></Nonce>\n</xml>"
        )

    def _compare(self, given: str, *parts: str) -> None:
        expected = signature(self._token, *parts)
        if not hmac.compare_digest(given.encode(errors="replace"), expected.encode()):
            raise BadSignature("signed with another token, or not at all")

    def _decrypt(self, encrypted: str) -> Opened:
        """Tries the current key, then the previous one.

        The signature does not depend on the key, so rubbish under a good signature means another key.
        """
        try:
            data = base64.b64decode(encrypted, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Undecryptable("Encrypt is no base64") from error
        other_appid = False
        for index, cipher in enumerate(self._ciphers):
            parts = _unpack(cipher, data)
            if parts is None:
                continue
            message, appid = parts
            if hmac.compare_digest(appid, self._appid):
                return Opened(_text(message), index)
            other_appid = True
        if other_appid:
            raise WrongAppId("encrypted for another appid")
        raise Undecryptable("none of our keys fits" if self._ciphers else "the account has no key")


def _cipher(encoding_aes_key: str) -> Cipher[CBC]:
    if len(encoding_aes_key) != AES_KEY_CHARACTERS or not encoding_aes_key.isascii():
        raise ValueError(f"an EncodingAESKey has {AES_KEY_CHARACTERS} letters and digits")
    if not encoding_aes_key.isalnum():
        raise ValueError("an EncodingAESKey has only letters and digits")
    key = base64.b64decode(encoding_aes_key + "=")
    return Cipher(AES256(key), CBC(key[:16]))


def _unpack(cipher: Cipher[CBC], data: bytes) -> tuple[bytes, bytes] | None:
    """Message and appid, or `None` where the key cannot have been this one."""
    if len(data) < _BLOCK or len(data) % 16:
        return None
    decryptor = cipher.decryptor()
    plain = decryptor.update(data) + decryptor.finalize()
    padding = plain[-1]
    if not 1 <= padding <= _BLOCK or plain[-padding:] != bytes([padding]) * padding:
        return None
    content = plain[_RANDOM:-padding]
    end = _LENGTH + int.from_bytes(content[:_LENGTH], "big")
    if len(content) < _LENGTH or end > len(content):
        return None
    return content[_LENGTH:end], content[end:]


def _encrypted(body: bytes) -> str:
    encrypted = read_xml(_text(body)).get("Encrypt")
    if not isinstance(encrypted, str) or not encrypted:
        raise NotUnderstood("no-encrypt")
    return encrypted.strip()


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise NotUnderstood("not-utf8", str(error)) from error
