from tests.cli.conftest import Run
from tests.factories.accounts import AES_KEY, OTHER_AES_KEY, SECRET

NEW = (
    "setup", "account", "--slug", "cafe", "--name", "咖啡店", "--kind", "service", "--verified",
    "--appid", "wx00000000000000aa", "--secret", SECRET, "--token", "tok123", "--aes-key", AES_KEY,
    "--mode", "safe",
)  # fmt: skip


def test_an_account_is_registered_then_changed(run: Run) -> None:
    first = run(*NEW, public_url="https://wx.example.com/")
    assert (first.code, first.stderr) == (0, "")
    assert "registered" in first.stdout
    assert "https://wx.example.com/wechat/cafe" in first.stdout
    second = run("setup", "account", "--slug", "cafe", "--aes-key", OTHER_AES_KEY)
    assert (second.code, "updated" in second.stdout) == (0, True)
    well = run("doctor")
    assert well.code == 0, well.stdout
    assert "accounts: 1, fine" in well.stdout


def test_what_a_new_account_lacks_is_named(run: Run) -> None:
    lacking = run("setup", "account", "--slug", "cafe", "--kind", "service")
    assert lacking.code == 1
    assert "A new account also needs: --name --appid --secret --token" in lacking.stderr
    assert "新公众号还需要" in lacking.stderr


def test_keys_may_come_by_the_environment(run: Run) -> None:
    made = run(
        "setup", "account", "--slug", "cafe", "--name", "n", "--kind", "service",
        "--appid", "wx00000000000000aa", setup_secret=SECRET, setup_token="tok123",
    )  # fmt: skip
    assert made.code == 0, made.stderr


def test_a_token_is_shown_once_listed_and_revoked(run: Run) -> None:
    made = run("setup", "token", "--name", "till", "--role", "read-only", "--expires-days", "30")
    assert made.code == 0, made.stderr
    secret = made.stdout.strip()
    assert secret.startswith("gx_")
    listed = run("setup", "token", "--list")
    assert secret not in listed.stdout
    number, role, state, name = listed.stdout.split()
    assert (role, state, name) == ("read-only", "valid", "till")
    assert run("setup", "token", "--revoke", number).code == 0
    assert "revoked" in run("setup", "token", "--list").stdout
    again = run("setup", "token", "--revoke", number)
    assert again.code == 1
    assert "revoked already" in again.stderr


def test_mistakes_get_a_sentence(run: Run) -> None:
    for arguments, words in (
        (("--name", "x", "--role", "king"), "There is no role king"),
        (("--name", "x"), "A new token needs --name and --role"),
        (("--name", "x", "--role", "admin", "--account", "nowhere"), "no account nowhere"),
    ):
        refused = run("setup", "token", *arguments)
        assert refused.code == 1
        assert words in refused.stderr
        assert "Traceback" not in refused.stderr


def test_without_a_secret_key_nothing_is_sealed(run: Run) -> None:
    refused = run(*NEW, secret_key="")
    assert refused.code == 1
    assert "GUANXI_SECRET_KEY is not set" in refused.stderr
