"""The wire's crypto against vectors made by another implementation, and against wechatpy."""

import json
from pathlib import Path
from typing import Any

import pytest
from wechatpy.crypto import WeChatCrypto

from app.simulator import signing
from app.simulator.markup import read

SAMPLES = Path(__file__).parents[1] / "samples" / "wechat"
V: dict[str, Any] = json.loads((SAMPLES / "encrypted" / "vectors.json").read_text())
TOKEN, KEY, APPID = V["token"], V["encoding_aes_key"], V["appid"]


def test_signature_of_the_verification_get() -> None:
    query = V["verify_get"]["query"]
    assert signing.sign(TOKEN, query["timestamp"], query["nonce"]) == query["signature"]


def test_key_and_iv() -> None:
    assert signing.decode_key(KEY).hex() == V["aes_key_hex"]


@pytest.mark.parametrize("key", ["", "short", "*" * 43, "a" * 44])
def test_bad_key(key: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        signing.decode_key(key)


@pytest.mark.parametrize("name", ["post_safe", "post_compatible"])
def test_encrypts_byte_for_byte(name: str) -> None:
    query = V[name]["query"]
    plain = (SAMPLES / "msg_text.xml").read_text().removesuffix("\n")
    wanted = read((SAMPLES / V[name]["body_file"]).read_bytes()).get("Encrypt")
    encrypted = signing.encrypt(plain, KEY, APPID, b"0123456789abcdef")
    assert encrypted == wanted
    signature = signing.sign(TOKEN, query["timestamp"], query["nonce"], encrypted)
    assert signature == query["msg_signature"]
    assert signing.decrypt(encrypted, KEY, APPID) == plain


def test_reply_byte_for_byte() -> None:
    reply = V["reply"]
    encrypted = signing.encrypt(reply["plaintext"], KEY, APPID, reply["random16"].encode())
    assert encrypted == reply["encrypt"]
    signature = signing.sign(TOKEN, reply["timestamp"], reply["nonce"], encrypted)
    assert signature == reply["msg_signature"]


@pytest.mark.parametrize(
    ("file", "key", "problem"),
    [
        ("safe_text_previous_key.xml", KEY, "padding|length|appid|UTF-8"),
        ("safe_text_wrong_appid.xml", KEY, "appid"),
    ],
)
def test_what_does_not_fit_is_named(file: str, key: str, problem: str) -> None:
    encrypted = read((SAMPLES / "encrypted" / file).read_bytes()).get("Encrypt")
    with pytest.raises(signing.BadCipher, match=problem):
        signing.decrypt(encrypted, key, APPID)


def test_previous_key() -> None:
    encrypted = read((SAMPLES / "encrypted" / "safe_text_previous_key.xml").read_bytes())
    plain = signing.decrypt(encrypted.get("Encrypt"), V["encoding_aes_key_previous"], APPID)
    assert plain == (SAMPLES / "msg_text.xml").read_text().removesuffix("\n")


@pytest.mark.parametrize("encrypted", ["", "!", "QUJD", "QUJDREVGR0hJSktMTU5PUA=="])
def test_garbage_is_no_crash(encrypted: str) -> None:
    with pytest.raises(signing.BadCipher):
        signing.decrypt(encrypted, KEY, APPID)


def test_wechatpy_reads_what_we_encrypt() -> None:
    encrypted = signing.encrypt("<xml><Content>好</Content></xml>", KEY, APPID)
    stamp, nonce = "1767225660", "42"
    body = f"<xml><Encrypt>{encrypted}</Encrypt></xml>"
    crypto = WeChatCrypto(TOKEN, KEY, APPID)
    signature = signing.sign(TOKEN, stamp, nonce, encrypted)
    assert "好" in crypto.decrypt_message(body, signature, stamp, nonce)
