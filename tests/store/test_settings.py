"""Settings: where each is from, what is masked, and the key that is made once."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from sandbox.server import SandboxServer
from starter.startup import USED_AT, unsafe
from store.settings import Settings
from store.url_masks import HARMLESS, masked_url
from tests.processes import forked


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where there is no .env


def test_the_defaults_are_a_laptop() -> None:
    settings = Settings()
    assert settings.slack_url == "http://127.0.0.1:8900/slack/api/"
    assert settings.ledger_url == "sqlite:///.tenure/ledger.db"
    assert settings.web_url == "http://127.0.0.1:8080"
    assert settings.smtp_url == "smtp://127.0.0.1:8925"
    assert settings.policy_file is None


def test_the_port_offset_moves_what_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENURE_PORT_OFFSET", "100")
    monkeypatch.setenv("TENURE_SLACK_URL", "https://slack.com/api/")
    settings = Settings()
    assert settings.slack_url == "https://slack.com/api/"
    assert settings.github_url == "http://127.0.0.1:9000/github/api/v3"
    assert (settings.web_url, settings.smtp_url) == ("http://127.0.0.1:8180", "smtp://127.0.0.1:9025")
    assert (settings.temporal_port, settings.temporal_ui_port, settings.web_port) == (7333, 8333, 8180)
    assert (settings.sandbox_port, settings.smtp_port) == (9000, 9025)


def test_where_each_is_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("TENURE_GITHUB_REPO=our/repo\nTENURE_SLACK_TOKEN=xoxb-file\nOTHER=1\n")
    monkeypatch.setenv("TENURE_SLACK_TOKEN", "xoxb-environment")
    monkeypatch.setenv("TENURE_LEDGER_URL", "postgresql://tenure:hunter2@db.example/tenure")
    settings = Settings(mail_from="Us <us@tenure.example>")
    origins = {origin.name: origin for origin in settings.origins()}
    assert set(origins) == set(Settings.model_fields)
    assert origins["github_repo"][1:] == ("our/repo", ".env")
    assert origins["slack_token"][1:] == ("********", "environment TENURE_SLACK_TOKEN")
    assert origins["ledger_url"][1:] == ("postgresql://tenure:********@db.example/tenure", "environment TENURE_LEDGER_URL")
    assert origins["mail_from"][1:] == ("Us <us@tenure.example>", "argument")
    assert origins["github_url"][1:] == ("http://127.0.0.1:8900/github/api/v3", "default")
    assert origins["secret_key"][1:] == ("", "default")
    assert settings.slack_token.get_secret_value() == "xoxb-environment"


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = [
        name
        for name, field in Settings.model_fields.items()
        if field.annotation is SecretStr and name not in ("secret_key", "payload_keys")
    ]
    assert len(secrets) >= 9
    for name in secrets:
        monkeypatch.setenv(f"TENURE_{name.upper()}", "hunter2" * 5)
    key = base64.b64encode(b"hunter2".ljust(32, b".")).decode()
    monkeypatch.setenv("TENURE_PAYLOAD_KEYS", f"one:{key}")
    monkeypatch.setenv("TENURE_SMTP_URL", "smtps://us:hunter2@mail.example:465")
    settings = Settings()
    shown = f"{settings!r} {settings} {settings.origins()} {settings.payload_ring().keys}"
    assert not any(secret in shown for secret in ("hunter2", key, key[:8]))
    assert "hunter2" in settings.smtp_url


#: Stands in every secret below, whatever is around it.
MARK = "hunter2"
secret_text = st.text(max_size=8).flatmap(lambda a: st.text(max_size=8).map(lambda b: f"{a}{MARK}{b}")) | st.text(
    alphabet="@:/?#&;=%+ [],{}x", max_size=12
).map(lambda a: f"{a}{MARK}{a[::-1]}")
plain_text = st.text(alphabet="abcxyz019-", min_size=1, max_size=8)
schemes = st.sampled_from(["postgresql+psycopg", "postgresql", "redis", "smtps", "bigquery", "duckdb", "https", "mysql"])


@st.composite
def addresses_with_a_secret(draw: st.DrawFn) -> str:
    """An address as somebody types it, whose secret stands in one of the places where addresses hold one, encoded or not."""
    secret = draw(st.one_of(secret_text, secret_text.map(lambda text: quote(text, safe=""))))
    scheme, user, host, path = draw(schemes), draw(plain_text), draw(plain_text), draw(plain_text)
    port = draw(st.sampled_from(["", ":5432"]))
    more = draw(st.sampled_from(["", "?sslmode=require", "?email=us@there.example", "?application_name=tenure&x=1"]))
    names = ["password", "Password", "sslpassword", "token", "access_token", "motherduck_token", "credentials_base64", "key", "pass%77ord"]
    name = draw(st.sampled_from(names) | plain_text.filter(lambda text: text not in HARMLESS))
    after = draw(st.sampled_from(["", "&sslmode=require", ";timeout=5"]))
    return draw(
        st.sampled_from(
            [
                f"{scheme}://{user}:{secret}@{host}{port}/{path}{more}",
                f"{scheme}://:{secret}@{host}{port}/{path}{more}",
                f"{scheme}://{secret}@{host}{port}/{path}{more}",
                f"{user}:{secret}@{host}{port}",
                f"{scheme}://{host}{port}/{path}?{name}={secret}{after}",
                f"{scheme}://{user}@{host}/{path}?sslmode=require&{name}={secret}{after}",
                f"{scheme}://{user}:{user}@{host}/{path}?{secret}",
                f"{scheme}://{host}/{path}?sslmode=require#{secret}",
            ]
        )
    )


@given(address=addresses_with_a_secret())
def test_no_address_shows_its_secret_wherever_it_stands(address: str) -> None:
    # What stands in for a secret may hold separators: every piece of it that could be read is looked for.
    assert MARK not in masked_url(address)
    assert MARK not in unquote(masked_url(address))


@given(scheme=schemes, host=plain_text, path=plain_text, port=st.sampled_from(["", ":8900"]))
def test_an_address_without_a_secret_is_shown_whole(scheme: str, host: str, path: str, port: str) -> None:
    for address in (
        f"{scheme}://{host}{port}/{path}",
        f"{scheme}://{host}{port}/{path}?sslmode=require&connect_timeout=5",
        f"{scheme}:///{path}",
    ):
        assert masked_url(address) == address


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://tenure:p@ss/w:rd@db.example:5432/tenure", "postgresql://tenure:********@db.example:5432/tenure"),
        ("postgresql:///tenure?host=db&user=us&password=x", "postgresql:///tenure?host=db&user=********&password=********"),
        ("redis://:hunter2@cache:6379/0", "redis://:********@cache:6379/0"),
        ("https://ghp_hunter2@github.example/api", "https://********@github.example/api"),
        ("us:hunter2@mail.example:465", "us:********@mail.example:465"),
        ("smtps://us:hunter2mail.example:465", "smtps://********"),
        ("postgresql://db/tenure?password=@hunter2", "postgresql://********@********"),
        ("https://{host}", "https://{host}"),
        ("http://[::1]:8900/slack", "http://[::1]:8900/slack"),
        ("memory://", "memory://"),
        ("", ""),
    ],
)
def test_how_an_address_is_shown(address: str, shown: str) -> None:
    assert masked_url(address) == shown


def test_every_address_of_the_settings_is_masked_everywhere_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [name for name, field in Settings.model_fields.items() if field.annotation is str and name.endswith(("_url", "_storage"))]
    assert len(kept) >= 16
    for name in kept:
        monkeypatch.setenv(f"TENURE_{name.upper()}", f"https://us:{MARK}@there.example/{{host}}?password={MARK}")
    settings = Settings()
    assert MARK not in f"{settings!r} {settings} {settings.origins()}"


def of_the_stand_ins() -> dict[str, str]:
    """Every setting whose default is a secret, with it."""
    found = {name: field.default for name, field in Settings.model_fields.items() if isinstance(field.default, SecretStr)}
    return {name: value.get_secret_value() for name, value in found.items() if value.get_secret_value()}


def test_every_secret_of_the_stand_ins_is_watched() -> None:
    assert set(of_the_stand_ins()) == set(USED_AT)
    assert {address for addresses in USED_AT.values() for address in addresses} <= set(Settings.model_fields)


REAL = [
    "https://real.example/api",
    "http://real.internal:8900/slack/api/",
    "http://127.0.0.1.real.example",
    "http://localhost@real.example",
]


@pytest.mark.parametrize(("secret", "address"), [(secret, address) for secret, all_ in USED_AT.items() for address in all_])
def test_no_default_secret_works_with_a_real_system(secret: str, address: str) -> None:
    default = of_the_stand_ins()[secret]
    for url in [*REAL, *([""] if address == "salesforce_url" else [])]:
        real = {address: url + "/{host}" if address == "instance_url" else url}
        found = unsafe(Settings(_env_file=None, **real))
        assert (secret, address) in found, url
        for typed in (default, f" {default} ", of_the_stand_ins()["github_token"]):  # written out, or another stand-in's
            assert (secret, address) in unsafe(Settings(_env_file=None, **real, **{secret: typed}))
        assert secret not in {each.secret for each in unsafe(Settings(_env_file=None, **real, **{secret: "of-our-own"}))}


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9999/slack/api/", "http://localhost:1/x", "http://[::1]:1/x", "http://sandbox:8900/slack/api/"]
)
def test_on_the_laptop_and_with_the_stand_ins_they_do(url: str) -> None:
    settings = Settings(_env_file=None, slack_url=url, oidc_url=url, web_url="http://127.0.0.1:8080", sandbox_url="http://sandbox:8900")
    assert unsafe(settings) == []
    elsewhere = settings.model_copy(update={"slack_url": "http://sandbox:8900.evil.example/slack/api/"})
    assert unsafe(elsewhere) == [("slack_token", "slack_url")]


def test_a_secret_that_is_not_used_may_be_anything() -> None:
    real = Settings(
        _env_file=None, salesforce_url="", salesforce_session_id="s", sheets_url="https://sheets.example", sheets_credentials="x.json"
    )
    assert unsafe(real) == []
    assert unsafe(Settings(_env_file=None, github_url="https://github.example", github_token="t", github_webhook_secret="")) == [
        ("github_webhook_secret", "github_url")
    ]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("TENURE_SECRET_KEY", "short", "Fernet key"),
        ("TENURE_PAYLOAD_KEYS", "one:c2hvcnQ=", "key 1 must be ID:KEY"),
        ("TENURE_CODEC_TOKEN", "short", "at least 32 characters"),
        ("TENURE_INSTANCE_URL", "https://instances.example", "must contain {host}"),
        ("TENURE_GITHUB_REPO", "no-owner", "pattern"),
        ("TENURE_PORT_OFFSET", "-1", "greater than or equal"),
    ],
)
def test_what_is_wrong_is_said(name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=message):
        Settings()


def test_empty_means_none_for_the_policy_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENURE_POLICY_FILE", "")
    monkeypatch.setenv("TENURE_SALESFORCE_URL", "")
    settings = Settings()
    assert (settings.policy_file, settings.salesforce_url) == (None, "")


def test_an_instance_address_takes_only_a_host_name() -> None:
    settings = Settings()
    assert settings.instance("acme.cloud.tenure.example") == "http://127.0.0.1:8900/instances/acme.cloud.tenure.example"
    for wrong in ("", "a/b", "acme.example:1", "user@acme.example", "..", "acme.example/", "a b", "-acme.example", "a" * 254):
        with pytest.raises(ValueError, match="is not a host name"):
            settings.instance(wrong)


def test_the_key_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = Settings().key()
    assert Settings().key() == key
    Fernet(key)
    path = tmp_path / ".tenure" / "secret.key"
    assert path.read_text() == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    given = Fernet.generate_key().decode()
    monkeypatch.setenv("TENURE_SECRET_KEY", given)
    assert Settings().key() == given


def keys_of(data_dir: str) -> str:
    return Settings(_env_file=None, data_dir=data_dir).key()


def test_processes_that_start_together_get_the_same_key(tmp_path: Path) -> None:
    with forked().Pool(3) as pool:
        keys = pool.map(keys_of, [str(tmp_path / "shared")] * 12, chunksize=1)
        pool.close()
        pool.join()
    assert len(set(keys)) == 1


def test_the_default_tokens_are_those_that_the_stand_ins_take(sandbox: SandboxServer) -> None:
    settings = Settings(_env_file=None)
    assert settings.slack_token.get_secret_value() == sandbox.world.slack_token
    assert settings.github_token.get_secret_value() == sandbox.world.github_token
