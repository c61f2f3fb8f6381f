"""Signatures and encryption, against vectors made by another implementation."""

import base64
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wechatpy.crypto import WeChatCrypto
from wechatpy.crypto.cryptography import WeChatCipher

from app.wechat.crypto import (
    BadSignature,
    Codec,
    Credentials,
    Downgrade,
    Forbidden,
    Opened,
    StaleTimestamp,
    Undecryptable,
    WrongAppId,
    is_echostr,
    signature,
)
from app.wechat.parse import NotUnderstood, parse
from tests.wechat.samples import VECTORS, read, read_bytes

TOKEN: str = VECTORS["token"]
APPID: str = VECTORS["appid"]
KEY: str = VECTORS["encoding_aes_key"]
PREVIOUS: str = VECTORS["encoding_aes_key_previous"]
NOW = 1767225660
PLAIN_TEXT = read(VECTORS["post_safe"]["plaintext_file"]).removesuffix("\n")


def credentials(mode: Any = "safe", *keys: str, appid: str = APPID) -> Credentials:
    return Credentials(appid, TOKEN, mode, keys)


def codec(mode: str = "safe", *keys: str, appid: str = APPID) -> Codec:
    return Codec(credentials(mode, *(keys or (KEY, PREVIOUS)), appid=appid))


def signed(encrypted: str, **more: str) -> dict[str, str]:
    query = {"timestamp": str(NOW), "nonce": "987654321", "encrypt_type": "aes", **more}
    query["msg_signature"] = signature(TOKEN, query["timestamp"], query["nonce"], encrypted)
    return query


def sealed(cipher: bytes) -> tuple[bytes, dict[str, str]]:
    encrypted = base64.b64encode(cipher).decode()
    return f"<xml><Encrypt>{encrypted}</Encrypt></xml>".encode(), signed(encrypted)


class TestCheck:
    def test_vector(self) -> None:
        query = VECTORS["verify_get"]["query"]
        codec().check(query["signature"], query["timestamp"], query["nonce"], NOW)

    def test_bad_vector(self) -> None:
        query = VECTORS["verify_get_bad"]["query"]
        with pytest.raises(BadSignature):
            codec().check(query["signature"], query["timestamp"], query["nonce"], NOW)

    @pytest.mark.parametrize("skew", [-600, 0, 600])
    def test_ten_minutes_each_way(self, skew: int) -> None:
        query = VECTORS["verify_get"]["query"]
        codec().check(query["signature"], query["timestamp"], query["nonce"], NOW + skew)

    @pytest.mark.parametrize("skew", [-601, 601, 10**9])
    def test_further_away_is_stale_and_says_by_how_much(self, skew: int) -> None:
        query = VECTORS["verify_get"]["query"]
        with pytest.raises(StaleTimestamp) as caught:
            codec().check(query["signature"], query["timestamp"], query["nonce"], NOW + skew)
        assert caught.value.skew == skew

    def test_regrouped_parts_share_a_signature_but_not_the_time(self) -> None:
        vector = VECTORS["signature_regrouping"]
        a, b = vector["a"], vector["b"]
        assert signature(TOKEN, a["timestamp"], a["nonce"]) == vector["signature"]
        assert signature(TOKEN, b["timestamp"], b["nonce"]) == vector["signature"]
        codec().check(vector["signature"], a["timestamp"], a["nonce"], 1767225600)
        with pytest.raises(StaleTimestamp):
            codec().check(vector["signature"], b["timestamp"], b["nonce"], 1767225600)

    @pytest.mark.parametrize("timestamp", ["", "x", "-5", "1e9", "１", "1" * 30])
    def test_a_timestamp_that_is_no_number(self, timestamp: str) -> None:
        with pytest.raises(BadSignature):
            codec().check(signature(TOKEN, timestamp, "1"), timestamp, "1", NOW)

    @pytest.mark.parametrize("given", ["", "é", "\ud800", "1987E4EA" + "0" * 32])
    def test_any_signature_is_only_wrong(self, given: str) -> None:
        with pytest.raises(BadSignature):
            codec().check(given, str(NOW), "987654321", NOW)


class TestOpen:
    def test_safe(self) -> None:
        vector = VECTORS["post_safe"]
        opened = codec().open(read_bytes(vector["body_file"]), vector["query"])
        assert opened == Opened(PLAIN_TEXT, 0)
        assert parse(opened.xml).key == "w:m:25100000000000007"

    def test_compatible_reads_what_is_signed(self) -> None:
        vector = VECTORS["post_compatible"]
        body = read_bytes(vector["body_file"]).replace("周六".encode(), "周日".encode())
        assert codec("compat").open(body, vector["query"]) == Opened(PLAIN_TEXT, 0)

    def test_previous_key(self) -> None:
        vector = VECTORS["post_previous_key"]
        body = read_bytes(vector["body_file"])
        opened = codec().open(body, vector["query"])
        assert opened.key_index == 1
        with pytest.raises(Undecryptable):
            codec("safe", KEY).open(body, vector["query"])

    def test_wrong_appid(self) -> None:
        vector = VECTORS["post_wrong_appid"]
        with pytest.raises(WrongAppId):
            codec().open(read_bytes(vector["body_file"]), vector["query"])

    def test_plain(self) -> None:
        vector = VECTORS["post_plain"]
        opened = codec("plain").open(read_bytes(vector["body_file"]), vector["query"])
        assert opened == Opened(read("msg_text.xml"), None)

    @pytest.mark.parametrize("kind", [{}, {"encrypt_type": "raw"}, {"encrypt_type": ""}])
    def test_clear_body_to_a_safe_account(self, kind: dict[str, str]) -> None:
        with pytest.raises(Downgrade):
            codec().open(read_bytes("msg_text.xml"), kind)

    def test_the_query_decides_not_the_look(self) -> None:
        """A safe body without encrypt_type is refused in safe mode and not decrypted elsewhere."""
        body = read_bytes("encrypted/safe_text.xml")
        with pytest.raises(Downgrade):
            codec().open(body, {})
        assert "Encrypt" in codec("compat").open(body, {}).xml

    def test_tampered_ciphertext(self) -> None:
        vector = VECTORS["post_safe"]
        body = read_bytes(vector["body_file"]).replace(b"[Q3st", b"[Q4st")
        with pytest.raises(BadSignature):
            codec().open(body, vector["query"])

    @pytest.mark.parametrize("missing", ["msg_signature", "timestamp", "nonce"])
    def test_missing_parts_of_the_query(self, missing: str) -> None:
        query = {k: v for k, v in VECTORS["post_safe"]["query"].items() if k != missing}
        with pytest.raises(BadSignature):
            codec().open(read_bytes("encrypted/safe_text.xml"), query)

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            (b"", "empty"),
            (b"hello", "not-xml"),
            (b"\xff\xfe", "not-utf8"),
            (b"<xml><A>1</A></xml>", "no-encrypt"),
            (b"<xml><Encrypt/></xml>", "no-encrypt"),
            (b"<xml><Encrypt>a</Encrypt><Encrypt>b</Encrypt></xml>", "no-encrypt"),
            (b"<!DOCTYPE xml><xml><Encrypt>a</Encrypt></xml>", "doctype"),
        ],
    )
    def test_envelope_that_is_none(self, body: bytes, reason: str) -> None:
        with pytest.raises(NotUnderstood) as caught:
            codec().open(body, signed("a"))
        assert caught.value.reason == reason

    def test_clear_body_that_is_no_utf8(self) -> None:
        with pytest.raises(NotUnderstood):
            codec("plain").open("好".encode("gbk"), {})

    @pytest.mark.parametrize("encrypted", ["*", "abc", "YQ==", "é", "QUJD" * 7])
    def test_signed_rubbish(self, encrypted: str) -> None:
        body = f"<xml><Encrypt>{encrypted}</Encrypt></xml>".encode()
        with pytest.raises(Undecryptable):
            codec().open(body, signed(encrypted))

    def test_encrypted_to_an_account_without_key(self) -> None:
        plain = Codec(credentials("plain"))
        with pytest.raises(Undecryptable):
            plain.open(read_bytes("encrypted/safe_text.xml"), VECTORS["post_safe"]["query"])

    @pytest.mark.parametrize(
        "content",
        [
            b"r" * 16 + struct.pack(">I", 2**32 - 1) + b"x" + APPID.encode(),
            b"r" * 16 + struct.pack(">I", 1000) + b"x" + APPID.encode(),
            b"r" * 16,
            b"r" * 18,
        ],
        ids=["length-huge", "length-too-long", "no-length", "half-length"],
    )
    def test_length_outside_the_buffer(self, content: bytes) -> None:
        padding = 32 - len(content) % 32
        with pytest.raises(Undecryptable):
            codec().open(*sealed(_encrypt(content + bytes([padding]) * padding)))

    @pytest.mark.parametrize("tail", [b"\0", b"\x21" * 33, b"\x02\x03\x03", b"\xff"])
    def test_bad_padding(self, tail: bytes) -> None:
        content = b"r" * 16 + struct.pack(">I", 1) + b"x" + APPID.encode()
        content = content.ljust(64 - len(tail), b"p") + tail
        with pytest.raises(Forbidden):
            codec().open(*sealed(_encrypt(content.ljust(96, tail[-1:])[:96])))

    def test_message_that_is_no_utf8(self) -> None:
        content = b"r" * 16 + struct.pack(">I", 2) + b"\xff\xfe" + APPID.encode()
        padding = 32 - len(content) % 32
        with pytest.raises(NotUnderstood):
            codec().open(*sealed(_encrypt(content + bytes([padding]) * padding)))


def _encrypt(plain: bytes) -> bytes:
    crypto = WeChatCrypto(TOKEN, KEY, APPID)
    cipher: bytes = WeChatCipher(crypto.key).encrypt(plain)
    return cipher


class TestSeal:
    def test_vector(self) -> None:
        reply = VECTORS["reply"]
        envelope = codec().seal(
            reply["plaintext"],
            0,
            timestamp=int(reply["timestamp"]),
            nonce=reply["nonce"],
            random16=reply["random16"].encode(),
        )
        assert envelope == read(reply["file"]).removesuffix("\n")
        assert reply["encrypt"] in envelope
        assert reply["msg_signature"] in envelope

    def test_wechatpy_opens_it(self) -> None:
        for index, key in enumerate((KEY, PREVIOUS)):
            envelope = codec().seal("<xml>好</xml>", index, timestamp=NOW, nonce="12")
            crypto = WeChatCrypto(TOKEN, key, APPID)
            given = envelope.split("<MsgSignature><![CDATA[")[1][:40]
            assert crypto.decrypt_message(envelope, given, str(NOW), "12") == "<xml>好</xml>"

    def test_two_envelopes_of_one_answer_differ(self) -> None:
        one, two = (codec().seal("<xml/>", 0, timestamp=NOW, nonce="1") for _ in range(2))
        assert one != two

    def test_nonce_cannot_break_out(self) -> None:
        envelope = codec().seal("<xml/>", 0, timestamp=NOW, nonce="1]]><X>2")
        assert "<Nonce><![CDATA[1X2]]></Nonce>" in envelope

    def test_empty_nonce_becomes_the_timestamp(self) -> None:
        assert f"<Nonce><![CDATA[{NOW}]]>" in codec().seal("a", 0, timestamp=NOW, nonce="]]>")

    def test_nothing_is_never_sealed(self) -> None:
        with pytest.raises(ValueError, match="empty"):
            codec().seal("", 0, timestamp=NOW, nonce="1")

    def test_random_of_another_length(self) -> None:
        with pytest.raises(ValueError, match="15"):
            codec().seal("a", 0, timestamp=NOW, nonce="1", random16=b"r" * 15)

    @given(st.text(min_size=1), st.integers(0, 1))
    def test_opens_again(self, text: str, index: int) -> None:
        text = text.encode(errors="ignore").decode() or "x"
        envelope = codec().seal(text, index, timestamp=NOW, nonce="987654321")
        encrypted = envelope.split("<Encrypt><![CDATA[")[1].split("]]>")[0]
        assert codec().open(envelope.encode(), signed(encrypted)) == Opened(text, index)


@given(st.binary(min_size=0, max_size=200))
def test_any_ciphertext_under_a_good_signature_is_forbidden(cipher: bytes) -> None:
    with pytest.raises((Forbidden, NotUnderstood)):
        codec().open(*sealed(cipher + bytes(-len(cipher) % 16)))


@given(
    st.text(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=43, max_size=43
    )
)
def test_a_wrong_key_is_forbidden(key: str) -> None:
    other = codec("safe", key)
    body, query = read_bytes("encrypted/safe_text.xml"), VECTORS["post_safe"]["query"]
    if key[:42] == KEY[:42]:
        return
    with pytest.raises(Forbidden):
        other.open(body, query)


class TestCredentials:
    def test_empty_token(self) -> None:
        with pytest.raises(ValueError, match="token"):
            Codec(Credentials(APPID, "", "safe", (KEY,)))

    @pytest.mark.parametrize("mode", ["safe", "compat"])
    def test_no_key(self, mode: str) -> None:
        with pytest.raises(ValueError, match="EncodingAESKey"):
            Codec(credentials(mode))

    @pytest.mark.parametrize("key", ["", KEY[:-1], KEY + "a", "好" * 43, "-" + KEY[1:]])
    def test_key_that_is_none(self, key: str) -> None:
        with pytest.raises(ValueError, match="EncodingAESKey"):
            Codec(credentials("safe", key))

    def test_nothing_secret_in_the_repr(self) -> None:
        shown = repr(credentials("safe", KEY))
        assert TOKEN not in shown
        assert KEY not in shown


def test_echostr() -> None:
    assert is_echostr(VECTORS["verify_get"]["query"]["echostr"])
    assert is_echostr("aZ09+/=_-")
    for bad in ("", "<b>", "1\n", "1 2", "é", "1" * 257):
        assert not is_echostr(bad)


def test_reasons_are_stable() -> None:
    reasons = [cls.reason for cls in (BadSignature, StaleTimestamp, Downgrade, WrongAppId)]
    assert [*reasons, Undecryptable.reason] == [
        "bad-signature",
        "stale-timestamp",
        "downgrade",
        "wrong-appid",
        "undecryptable",
    ]
