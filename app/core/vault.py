"""Secrets at rest: AES-256-GCM under a subkey, bound to the place they are stored in."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.core.errors import AppError
from app.core.rng import secret_bytes

_VERSION = b"\x01"
_NONCE = 12


class CannotOpen(AppError):
    code = "SECRET_KEY_CHANGED"
    zh = "无法解密 {place}：GUANXI_SECRET_KEY 可能已更换"
    en = "Cannot decrypt {place}: GUANXI_SECRET_KEY may have been changed"


class Vault:
    """Seals and opens small secrets.

    A ciphertext opens only at the `place` it was sealed for (`table/row/column`), so that a copied
    row is useless.
    """

    def __init__(self, secret_key: str) -> None:
        derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"guanxi/vault/1")
        self._aead = AESGCM(derive.derive(secret_key.encode()))

    def seal(self, place: str, plain: str) -> bytes:
        nonce = secret_bytes(_NONCE)
        return _VERSION + nonce + self._aead.encrypt(nonce, plain.encode(), place.encode())

    def open(self, place: str, sealed: bytes) -> str:
        """Raises `CannotOpen` for another key, another place or damaged bytes."""
        nonce, body = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
        try:
            if sealed[:1] != _VERSION:
                raise CannotOpen(place=place)
            return self._aead.decrypt(nonce, body, place.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise CannotOpen(place=place) from error
