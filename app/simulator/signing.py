"""Signatures and encryption of the callback, as the platform does them.

Both are SHA-1 over sorted strings and AES-256-CBC with the key's own beginning as IV: the wire
format is the platform's, the weaknesses too.
"""

import base64
import binascii
import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from app.core.rng import secret_bytes

_BLOCK = 32


class BadCipher(Exception):
    """What came back cannot have been encrypted with this account's key."""


def sign(token: str, *parts: str) -> str:
    """Lower-case hex SHA-1 of the sorted strings put together."""
    joined = "".join(sorted((token, *parts)))
    return hashlib.sha1(joined.encode(), usedforsecurity=False).hexdigest()


def same(left: str, right: str) -> bool:
    """Comparison in constant time, also of strings that are not ASCII."""
    return hmac.compare_digest(left.encode(), right.encode())


def decode_key(aes_key: str) -> bytes:
    """The 32 bytes an EncodingAESKey of 43 characters stands for; `ValueError` for anything else."""
    try:
        key = base64.b64decode(aes_key + "=", validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error
    if len(key) != 32:
        raise ValueError("must be 43 letters and digits")
    return key


def encrypt(text: str, aes_key: str, appid: str, random16: bytes | None = None) -> str:
    """16 random bytes, length, text and appid, padded to 32 bytes, encrypted, in base64."""
    key = decode_key(aes_key)
    message = text.encode()
    plain = (random16 or secret_bytes(16)) + struct.pack(">I", len(message)) + message
    plain += appid.encode()
    padding = _BLOCK - len(plain) % _BLOCK
    plain += bytes([padding]) * padding
    cipher = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    return base64.b64encode(cipher.update(plain) + cipher.finalize()).decode()


def decrypt(encrypted: str, aes_key: str, appid: str) -> str:
    """The text of an encrypted body. Raises `BadCipher` naming what does not fit."""
    key = decode_key(aes_key)
    try:
        data = base64.b64decode(encrypted, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadCipher("Encrypt is not base64") from error
    if not data or len(data) % 16:
        raise BadCipher("Encrypt is not a whole number of blocks")
    cipher = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
    plain = cipher.update(data) + cipher.finalize()
    padding = plain[-1]
    if not 1 <= padding <= _BLOCK or plain[-padding:] != bytes([padding]) * padding:
        raise BadCipher("wrong padding: another key?")
    plain = plain[:-padding]
    if len(plain) < 20:
        raise BadCipher("too short")
    (length,) = struct.unpack(">I", plain[16:20])
    if length > len(plain) - 20:
        raise BadCipher("the length field points outside: another key?")
    if plain[20 + length :] != appid.encode():
        raise BadCipher("the appid behind the message is not this account's")
    try:
        return plain[20 : 20 + length].decode()
    except UnicodeDecodeError as error:
        raise BadCipher("the decrypted message is not UTF-8") from error
