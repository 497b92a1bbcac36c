"""Settings: where each is from, what is masked, and the key that is made once."""

from __future__ import annotations

import base64
import multiprocessing
import stat
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr, ValidationError

from activities.settings import Settings


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
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        keys = pool.map(keys_of, [str(tmp_path / "shared")] * 12, chunksize=1)
        pool.close()
        pool.join()
    assert len(set(keys)) == 1
