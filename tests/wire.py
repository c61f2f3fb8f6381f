"""WeChat's side of the wire, small and by its own code: what tests send, and how they read answers."""

import base64
import hashlib
import itertools
import os
import re
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC

TOKEN = "simTokenABC123"
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
APPID = "wx00000000000000aa"
ORIGINAL_ID = "gh_0123456789ab"


def sha1(*parts: str) -> str:
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()


def openid(number: int) -> str:
    return f"oSIM{number:024d}"


@dataclass
class Sender:
    """Signs, and in safe mode encrypts, as the platform does."""

    safe: bool = False
    token: str = TOKEN
    aes_key: str = AES_KEY
    appid: str = APPID
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def request(self, xml: str, at: datetime, nonce: str = "987654321") -> tuple[str, bytes]:
        """Query string and body of one delivery."""
        timestamp = str(int(at.timestamp()))
        query = {
            "signature": sha1(self.token, timestamp, nonce),
            "timestamp": timestamp,
            "nonce": nonce,
        }
        if not self.safe:
            return urlencode(query), xml.encode()
        encrypted = self.encrypt(xml)
        query |= {
            "encrypt_type": "aes",
            "msg_signature": sha1(self.token, timestamp, nonce, encrypted),
        }
        body = (
            f"<xml><ToUserName><![CDATA[{ORIGINAL_ID}]]></ToUserName>"
            f"<Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"
        )
        return urlencode(query), body.encode()

    def encrypt(self, xml: str) -> str:
        data = xml.encode()
        plain = os.urandom(16) + len(data).to_bytes(4, "big") + data + self.appid.encode()
        pad = 32 - len(plain) % 32
        encryptor = self._cipher().encryptor()
        return base64.b64encode(
            encryptor.update(plain + bytes([pad]) * pad) + encryptor.finalize()
        ).decode()

    def read(self, body: bytes) -> str:
        """The answer in clear, its signature checked."""
        text = body.decode()
        if not self.safe or "<Encrypt>" not in text:
            return text
        encrypted, timestamp, nonce, signed = (
            value_of(text, name) for name in ("Encrypt", "TimeStamp", "Nonce", "MsgSignature")
        )
        assert signed == sha1(self.token, timestamp, nonce, encrypted)
        decryptor = self._cipher().decryptor()
        plain = decryptor.update(base64.b64decode(encrypted)) + decryptor.finalize()
        plain = plain[: -plain[-1]]
        length = int.from_bytes(plain[16:20], "big")
        assert plain[20 + length :].decode() == self.appid
        return plain[20 : 20 + length].decode()

    def _cipher(self) -> "Cipher[CBC]":
        key = base64.b64decode(self.aes_key + "=")
        return Cipher(AES256(key), CBC(key[:16]))

    def text(self, who: str, words: str, at: datetime, number: int | None = None) -> str:
        return self.xml(
            who,
            at,
            MsgType="text",
            Content=words,
            MsgId=str(next(self.numbers) if number is None else number),
        )

    def event(self, who: str, event: str, at: datetime, **fields: str) -> str:
        return self.xml(who, at, MsgType="event", Event=event, **fields)

    def xml(self, who: str, at: datetime, **fields: str) -> str:
        rows = {
            "ToUserName": ORIGINAL_ID,
            "FromUserName": who,
            "CreateTime": str(int(at.timestamp())),
            **fields,
        }
        inner = "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in rows.items())
        return f"<xml>{inner}</xml>"


def value_of(xml: str, name: str) -> str:
    """The text of the first element of that name, CDATA or not; empty when it is not there."""
    found = re.search(rf"<{name}>(?:<!\[CDATA\[)?(.*?)(?:\]\]>)?</{name}>", xml, re.DOTALL)
    return found.group(1) if found else ""
