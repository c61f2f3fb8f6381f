"""Files of ready-made requests, so that the client costs next to nothing while it runs.

Every request is a delivery of its own: a new MsgId, a drawn follower and text, its own nonce and
signature; in safe mode the body is encrypted here. Records are read by `walk.lua`.
"""

import hashlib
import time
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

from wechatpy.crypto import PrpCrypto

from tests.bench import shop

GOOD_SECONDS = 240.0
"""Signatures older than ten minutes are refused; a file is written anew well before that."""
FIRST_ID = 24_000_000_000_000_000
"""MsgIds go on from here by the microsecond, so that no later run repeats one in a database that is kept."""
_CHUNK = 4096
_HEAD = (
    "POST /wechat/{slug}?{query} HTTP/1.1\r\nUser-Agent: Mozilla/4.0\r\nAccept: */*\r\n"
    "Host: 127.0.0.1\r\nPragma: no-cache\r\nContent-Length: {length}\r\n"
    "Content-Type: text/xml\r\n\r\n"
)
"""The headers that the platform sends."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a run sends. `followers`: how many openids the senders are drawn from."""

    mode: str
    followers: int = shop.FOLLOWERS


@dataclass(frozen=True, slots=True)
class LoadFile:
    path: Path
    written_at: float
    """On the monotonic clock."""
    count: int


class Loads:
    """Writes each kind of load once and again when its signatures grow old."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Load, LoadFile] = {}
        self._next_id = FIRST_ID + int(time.time() * 1_000_000)

    def file(self, load: Load, count: int, *, new: bool = False) -> Path:
        """A file of at least `count` requests; no MsgId is ever in two files.

        `new`: for a database that is kept, where requests that were sent before would be repeats.
        """
        known = None if new else self._files.get(load)
        fresh = known is not None and time.monotonic() - known.written_at < GOOD_SECONDS
        if known is None or not fresh or known.count < count:
            known = self._files[load] = self._write(load, count)
        return known.path

    def _write(self, load: Load, count: int) -> LoadFile:
        path = self._folder / f"{load.mode}-{load.followers}.requests"
        first, self._next_id = self._next_id, self._next_id + count
        records = _records(load, first, count, int(time.time()))
        with path.open("wb") as file:
            while chunk := b"".join(islice(records, _CHUNK)):
                file.write(chunk)
        return LoadFile(path, time.monotonic(), count)


def _records(load: Load, first_id: int, count: int, now: int) -> Iterator[bytes]:
    random = Random(first_id)
    cipher = PrpCrypto(b64decode(shop.AES_KEY + "="))
    for message_id, text in enumerate(shop.drawn_texts(random, count), first_id):
        number = random.randrange(load.followers)
        openid = openid_of(number)
        nonce = str(random.randrange(10**9, 10**10))
        body = message(number, text, message_id, now)
        query = (
            f"signature={_signature(str(now), nonce)}&timestamp={now}&nonce={nonce}&openid={openid}"
        )
        if load.mode == "safe":
            encrypted = cipher.encrypt(body, shop.APPID).decode()
            body = (
                f"<xml>{_cdata('ToUserName', shop.ORIGINAL_ID)}{_cdata('Encrypt', encrypted)}</xml>"
            )
            signed = _signature(str(now), nonce, encrypted)
            query += f"&encrypt_type=aes&msg_signature={signed}"
        yield _record(query, body.encode())


def _record(query: str, body: bytes) -> bytes:
    whole = _request(query, body)
    return f"{len(whole):08d}".encode() + whole


def _request(query: str, body: bytes) -> bytes:
    return _HEAD.format(slug=shop.SLUG, query=query, length=len(body)).encode() + body


def request(follower: int, text: str, message_id: int, now: int) -> bytes:
    """A whole request in plain mode, as a connection carries it."""
    nonce = str(message_id % 10**10)
    query = (
        f"signature={_signature(str(now), nonce)}&timestamp={now}&nonce={nonce}"
        f"&openid={openid_of(follower)}"
    )
    return _request(query, message(follower, text, message_id, now).encode())


def openid_of(number: int) -> str:
    return f"oBenchFollower{number:014d}"


def message(follower: int, text: str, message_id: int, now: int) -> str:
    """The XML of a text that the follower of this number sends."""
    sender = _cdata("FromUserName", openid_of(follower))
    return (
        f"<xml>{_cdata('ToUserName', shop.ORIGINAL_ID)}\n{sender}\n"
        f"<CreateTime>{now}</CreateTime>\n{_cdata('MsgType', 'text')}\n{_cdata('Content', text)}\n"
        f"<MsgId>{message_id}</MsgId>\n</xml>"
    )


def _cdata(name: str, text: str) -> str:
    return f"<{name}><![CDATA[{text}]]></{name}>"


def _signature(*parts: str) -> str:
    return hashlib.sha1("".join(sorted((shop.TOKEN, *parts))).encode()).hexdigest()
