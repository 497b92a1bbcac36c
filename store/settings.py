"""Where the outside systems are and how to reach them: from the environment (``TENURE_…``), from ``.env``, or a default for a laptop.

Where Temporal is stands elsewhere: ``temporalio.envconfig`` reads ``TEMPORAL_ADDRESS`` and its companions.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from cryptography.fernet import Fernet
from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, SecretStr
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, SettingsConfigDict

from domain import policy as policies
from store import url_masks
from store.crypto import key_ring

PREFIX = "TENURE_"
WEB_PORT = 8080
SANDBOX_PORT = 8900
SMTP_PORT = 8925

_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*", re.IGNORECASE | re.ASCII)

Promotes = Literal["always", "first", "never"]


class Origin(NamedTuple):
    """One setting for ``tenure config``: its name, its value (a secret is masked), and where it is from (``environment TENURE_X``)."""

    name: str
    value: str
    source: str


# --- What a setting may be ---------------------------------------------------------------------------------------------------


def _must(be: str, check: Callable[[str], object]) -> AfterValidator:
    """That ``check`` neither raises ``ValueError`` for a value nor returns what counts as false."""

    def checked(value: Any) -> Any:
        try:
            good = check(value.get_secret_value() if isinstance(value, SecretStr) else value)
        except ValueError:
            good = False
        if not good:
            raise ValueError(f"must {be}")
        return value

    return AfterValidator(checked)


def _is_rate(value: str) -> object:
    from limits import parse

    return parse(value)


def _are_networks(value: str) -> str:
    for each in _listed(value):
        try:
            ip_network(each, strict=False)
        except ValueError:
            raise ValueError(f"{each!r} is neither an address nor a network, as 10.0.0.5 or 10.0.0.0/8") from None
    return value


def _is_a_ring(value: SecretStr) -> SecretStr:
    key_ring.parse(value.get_secret_value())
    return value


Rate = Annotated[str, _must("be a rate such as 30/minute or 5 per 10 seconds", _is_rate)]
Networks = Annotated[str, AfterValidator(_are_networks)]
Pattern = Annotated[str, _must("contain {host}, which stands for the instance's host, as in https://{host}", lambda url: "{host}" in url)]
FernetKey = Annotated[SecretStr, _must("be a Fernet key: 32 bytes in URL-safe base64", lambda key: not key or Fernet(key))]
Ring = Annotated[SecretStr, AfterValidator(_is_a_ring)]
_LONG = "have at least 32 characters, letters, digits, - and _ only; `openssl rand -hex 32` makes one"
Token = Annotated[SecretStr, _must(_LONG, re.compile(r"([A-Za-z0-9_-]{32,})?").fullmatch)]
OptionalPath = Annotated[Path | None, BeforeValidator(lambda value: None if value == "" else value)]


def _local(scheme: str, port: int, path: str = "", **more: Any) -> Any:
    """A default address on this machine whose port follows ``port_offset``."""
    return Field(default_factory=lambda known: f"{scheme}://127.0.0.1:{port + known['port_offset']}{path}", **more)


def _sandbox(path: str) -> Any:
    return _local("http", SANDBOX_PORT, path)


def _port(port: int) -> property:
    return property(lambda settings: port + settings.port_offset)


class Settings(BaseSettings):
    """Every setting that is not policy. An unknown ``TENURE_`` variable is not an error: other programs of ours may read it.

    ``port_offset`` moves the ports of all the defaults, so that two checkouts run side by side on one machine.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", env_file_encoding="utf-8", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    port_offset: int = Field(default=0, ge=0, le=50_000)
    data_dir: Path = Path(".tenure")
    ledger_url: str = Field(default_factory=lambda known: f"sqlite:///{known['data_dir'] / 'ledger.db'}", repr=False)
    secret_key: FernetKey = SecretStr("")
    payload_keys: Ring = SecretStr("")
    codec_token: Token = SecretStr("")
    policy_file: OptionalPath = None
    web_url: str = _local("http", WEB_PORT)
    #: Further names that the web process answers to, with commas between: a probe's, or its own in a container's network.
    allowed_hosts: str = ""
    #: Connections that the web process holds at once; one address has at most a fifth of them, our own proxies excepted.
    web_connections: int = Field(default=1_000, ge=10, le=50_000)
    temporal_ui_url: str = _local("http", 8233)
    #: Where the stand-ins are: their secrets, which everybody knows, count there and on this machine only.
    sandbox_url: str = _local("http", SANDBOX_PORT)
    vendor_domain: str = "tenure.example"
    #: Whether a worker that starts makes its build the current one: always, only as the first of all, or never (`tenure workers promote`).
    worker_promotes: Promotes = "first"
    #: Activities at once of one worker; 0: four for each core, and eight at the least.
    worker_slots: int = Field(default=0, ge=0, le=1_000)

    #: Where a process has its control port, HOST:PORT; empty: nowhere. `--control` of a process goes before it.
    control: str = ""
    #: Who drains a process over its control port from another machine sends it; without one only its own machine may.
    control_token: Token = SecretStr("")

    oidc_url: str = _sandbox("/oidc")
    oidc_client_id: str = "tenure"
    oidc_client_secret: SecretStr = SecretStr("sandbox-oidc-secret")
    #: Hours until a session ends and one signs in anew.
    session_hours: int = Field(default=12, ge=1, le=168)
    #: Addresses or networks of our own proxies, with commas between; only theirs is the X-Forwarded-For that is believed.
    trusted_proxies: Networks = ""
    #: How often anything that needs no sign-in may be asked by one address.
    requests_per_address: Rate = "1200/minute"
    #: How often the public forms may be sent: by one address, and by one company (by one person where the domain is free mail's).
    signups_per_address: Rate = "120/minute"
    signups_per_domain: Rate = "30/minute"
    #: How often forms may be sent that bring a mail to one mailbox, whoever sends them.
    forms_per_mailbox: Rate = "10/hour"
    #: How many signups are taken from everybody together; the rest is kept for support, and is told so.
    signups_together: Rate = "600/minute"
    rate_limit_storage: str = Field(default="memory://", repr=False)

    slack_url: str = _sandbox("/slack/api/")
    slack_token: SecretStr = SecretStr("xoxb-sandbox")
    slack_alerts_channel: str = "cloud-trial-alerts"
    slack_red_channel: str = "red-accounts"
    slack_forecast_channel: str = "renewals"

    github_url: str = _sandbox("/github/api/v3")
    github_token: SecretStr = SecretStr("sandbox-github-token")
    github_repo: str = Field(default="acme-vendor/customer", pattern=r"^[\w.-]+/[\w.-]+$")
    github_webhook_secret: SecretStr = SecretStr("sandbox-webhook-secret")
    github_ref: str = "main"
    #: Logins, with commas between, whose comments name an instance's host although GitHub does not count them among the repository's people:
    #: the Cloud team's own automation, as `github-actions[bot]`.
    github_cloud_logins: str = ""

    salesforce_url: str = _sandbox("/salesforce")
    salesforce_session_id: SecretStr = SecretStr("")
    salesforce_username: str = "tenure@tenure.example"
    salesforce_password: SecretStr = SecretStr("sandbox-password")
    salesforce_security_token: SecretStr = SecretStr("sandbox-security-token")
    salesforce_campaign: str = "Cloud trial signup"

    instance_url: Pattern = _sandbox("/instances/{host}")
    instance_token: SecretStr = SecretStr("sandbox-operator-token")
    #: Domains, with commas between, below which hosts are ours besides the policy's `cloud.domain_suffix`; the operators' token goes nowhere else.
    instance_domains: str = ""

    licensing_url: str = _sandbox("/licensing")
    licensing_token: SecretStr = SecretStr("sandbox-licensing-token")

    pagerduty_url: str = _sandbox("/pagerduty")
    pagerduty_routing_key: SecretStr = SecretStr("sandbox0routing0key0000000000000")

    vitally_url: str = _sandbox("/vitally")
    vitally_key: SecretStr = SecretStr("sandbox-vitally-key")
    vitally_completed_status: str = "96d365ab-29b6-5b49-825b-992675d289d1"  # the API lists no project statuses: its id is read in the app

    sheets_url: str = _sandbox("/sheets")
    sheets_token: SecretStr = SecretStr("sandbox-sheets-token")
    sheets_credentials: OptionalPath = None
    sheets_tracker: str = "red-accounts-tracker"
    sheets_worksheet: str = "Red accounts"

    #: Accounts whose lives begin in a second at the most, when many customers are seen for the first time: others work meanwhile.
    account_beginnings_per_second: float = Field(default=3.0, gt=0, le=1_000)

    #: Seconds by which a schedule's round may begin later than it falls due, so that not all begin in one second.
    schedule_jitter_seconds: int = Field(default=60, ge=0, le=600)

    #: Seconds between two probes of an outside system that does not answer; everybody else waits for what they find.
    outage_probe_seconds: float = Field(default=30.0, gt=0, le=3_600)

    warehouse_url: str = Field(default_factory=lambda known: f"duckdb:///{known['data_dir'] / 'warehouse.duckdb'}", repr=False)

    smtp_url: str = _local("smtp", SMTP_PORT, repr=False)
    mail_from: str = "Tenure trials <trials@tenure.example>"
    support_email: str = "support@tenure.example"

    _sources: dict[str, str] = PrivateAttr(default_factory=dict)

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        env_file = values.get("_env_file", self.model_config.get("env_file"))
        if env_file:
            self._sources.update(dict.fromkeys(DotEnvSettingsSource(type(self), env_file=env_file)(), ".env"))
        self._sources.update({name: f"environment {PREFIX}{name.upper()}" for name in EnvSettingsSource(type(self))()})
        self._sources.update(dict.fromkeys(values, "argument"))

    # The ports of the local stack; behind the web process, which stands in front of them, are the development server's own pages.
    temporal_port: ClassVar[property] = _port(7233)
    temporal_ui_port: ClassVar[property] = _port(8233)
    temporal_ui_behind_port: ClassVar[property] = _port(8234)
    web_port: ClassVar[property] = _port(WEB_PORT)
    sandbox_port: ClassVar[property] = _port(SANDBOX_PORT)
    smtp_port: ClassVar[property] = _port(SMTP_PORT)

    def instance(self, host: str) -> str:
        """The base address of one customer's instance. Raises ``ValueError`` for what is no host name, since it becomes part of a URL."""
        if len(host) > 253 or not _HOST.fullmatch(host):
            raise ValueError(f"{host!r} is not a host name")
        return self.instance_url.replace("{host}", host).rstrip("/")

    def own_domains(self) -> tuple[str, ...]:
        """The domains below which instances are ours: the policy's and those of ``instance_domains``."""
        policy = policies.load(self.policy_file) if self.policy_file else policies.default()
        return (policy.cloud.domain_suffix, *_listed(self.instance_domains))

    def cloud_team(self) -> tuple[str, ...]:
        """The logins of ``github_cloud_logins``."""
        return _listed(self.github_cloud_logins)

    def key(self) -> str:
        """The Fernet key that encrypts secrets at rest; made once and kept in ``data_dir`` when ``secret_key`` is not set.

        Processes that share the ledger must share the key, so on more than one machine set ``TENURE_SECRET_KEY``.
        """
        return self.secret_key.get_secret_value() or key_ring.kept(self.data_dir / "secret.key", lambda: Fernet.generate_key().decode())

    def way_in_key(self) -> bytes:
        """What our own programs mark their messages to workflows with, and form their event ids by: a key of its own, made of :meth:`key`."""
        return hmac.digest(self.key().encode(), b"tenure way in", hashlib.sha256)

    def payload_ring(self) -> key_ring.KeyRing:
        """The keys that everything is encrypted with before it goes to Temporal; made once and kept when ``payload_keys`` is not set.

        Every process that talks to the same Temporal must share them, so on more than one machine set ``TENURE_PAYLOAD_KEYS``.
        """
        return key_ring.KeyRing(self.payload_keys.get_secret_value(), self.data_dir / key_ring.FILE)

    def codec_secret(self) -> str:
        """What opens the codec endpoint to the Web UI and the ``temporal`` CLI; made once and kept when ``codec_token`` is not set."""
        return self.codec_token.get_secret_value() or key_ring.kept(self.data_dir / "codec.token", lambda: secrets.token_urlsafe(32))

    def origins(self) -> list[Origin]:
        """Each setting with its value, secrets masked, and where it is from; for ``tenure config``."""
        return [Origin(name, _shown(name, getattr(self, name)), self._sources.get(name, "default")) for name in type(self).model_fields]

    def __repr_args__(self) -> Any:
        """What is printed of the settings, by accident or not: no secret."""
        return [(name, _shown(name, getattr(self, name))) for name, field in type(self).model_fields.items() if field.repr]


def _listed(text: str) -> tuple[str, ...]:
    """What stands between the commas."""
    return tuple(part for part in (each.strip() for each in text.split(",")) if part)


def _shown(name: str, value: object) -> str:
    if isinstance(value, SecretStr):
        return url_masks.STARS if value.get_secret_value() else ""
    text = "" if value is None else str(value)
    return url_masks.masked_url(text) if name.endswith(("_url", "_storage")) else text
