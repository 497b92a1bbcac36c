"""The customer's instance, through the sandbox's: admin, links, key and usage; once each, whatever is lost on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from temporalio.exceptions import ApplicationError

from activities.instance import Instance, usernames
from activities.jsonc import JsoncError, get_text, set_text
from domain.effects.effect import EffectBatch, Receipt
from domain.effects.instance import CreateAdmin, InstanceEffect, RemoveUser, ResetLink, SetKey
from domain.effects.registry import ClaimInstance, RegistryChange
from domain.messages import AskUsage
from sandbox.core import Fault
from sandbox.instances import Instance as Remote
from sandbox.server import SandboxServer
from store.ledger import EffectId, Ledger, NotDone
from store.registry import Registry
from store.settings import Settings
from store.tables import vault as kept
from store.vault import Vault

HOST = "acme.cloud.tenure.example"
EMAIL = "Ada.Lovelace+x@acme.com"
SUBJECT = "trial-acme.com/0a1b2c3d.1"
AS_OF = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ADMIN = CreateAdmin(key="admin", host=HOST, email=EMAIL, name="Ada Lovelace")
LINK = ResetLink(key="link-1", host=HOST, email=EMAIL, ttl_hours=72)
GONE = RemoveUser(key="removed", host=HOST, email=EMAIL)


@pytest.fixture
def instance(settings: Settings, ledger: Ledger) -> Iterator[Instance]:
    made = Instance(settings, ledger)
    yield made
    made.close()


@pytest.fixture
def remote(sandbox: SandboxServer) -> Remote:
    """The instance at ``HOST``."""
    made: Remote = sandbox.world.services["instances"].create(HOST)
    return made


def batch(*acts: InstanceEffect) -> EffectBatch:
    return EffectBatch(subject=SUBJECT, as_of=AS_OF, effects=acts)


def effects(sandbox: SandboxServer) -> list[str]:
    return [effect.act for effect in sandbox.world.log.effects]


def opened(vault: Vault, receipt: Receipt) -> httpx.Response:
    """What the browser of whoever opened their share link shows."""
    return httpx.get(vault.get(receipt.data["vault"]))


# --- Admin and links ------------------------------------------------------------------------------------------------------------


def test_the_admin_gets_a_link_that_works(instance: Instance, remote: Remote, vault: Vault, ledger: Ledger, sandbox: SandboxServer) -> None:
    """The user is made first; the link only when somebody waits for it, and till then none is kept anywhere."""
    admin = instance.carry_out(batch(ADMIN)).of("admin")
    user = remote.find(username="ada-lovelace-x")
    assert user is not None
    assert (user.email, user.verified, user.site_admin) == (EMAIL, True, True)
    assert admin.data == {"host": HOST}
    with ledger.reading() as db:
        assert db.execute(select(kept)).all() == []
    assert instance.carry_out(batch(ADMIN)).of("admin") == admin
    assert effects(sandbox) == ["user.created", "user.site_admin_set"]
    receipt = instance.carry_out(batch(LINK)).of("link-1")
    assert opened(vault, receipt).status_code == 200
    assert vault.get(receipt.data["vault"]) not in receipt.model_dump_json()
    assert instance.carry_out(batch(LINK)).of("link-1") == receipt
    with ledger.reading() as db:
        [row] = db.execute(select(kept)).all()
    assert row.note == f"on {HOST}"  # no name made from the address
    assert timedelta(hours=71) < row.expires_at - datetime.now(UTC) <= timedelta(hours=72)


def test_a_lost_answer_makes_no_second_user(instance: Instance, remote: Remote, vault: Vault, sandbox: SandboxServer) -> None:
    sandbox.world.faults.append(Fault("instances", "cut_after", match="CreateUser"))
    with pytest.raises(ApplicationError, match=r"may or may not have acted.*\[0 of 1 done; waiting: admin\]") as lost:
        instance.carry_out(batch(ADMIN))
    assert lost.value.type == "InstanceUnsure"
    instance.carry_out(batch(ADMIN))
    assert opened(vault, instance.carry_out(batch(LINK)).of("link-1")).status_code == 200
    assert len(remote.accounts) == 1
    assert effects(sandbox) == ["user.created", "user.site_admin_set", "password.randomized"]


def test_an_error_in_the_middle_is_completed(instance: Instance, remote: Remote, sandbox: SandboxServer) -> None:
    sandbox.world.faults.append(Fault("instances", "status", match="MakeSiteAdmin", status=502))
    with pytest.raises(ApplicationError, match="HTTP 502"):
        instance.carry_out(batch(ADMIN))
    instance.carry_out(batch(ADMIN))
    assert [user.site_admin for user in remote.accounts.values()] == [True]


def test_a_name_that_another_has_is_numbered(instance: Instance, remote: Remote, sandbox: SandboxServer) -> None:
    sandbox.world.services["instances"].set_usage(HOST, users=[{"username": "ada-lovelace-x", "email": "other@tenure.example"}])
    instance.carry_out(batch(ADMIN))
    assert [user.username for user in remote.accounts.values()] == ["ada-lovelace-x", "ada-lovelace-x-2"]


def test_a_user_who_is_there_is_taken(instance: Instance, remote: Remote, sandbox: SandboxServer) -> None:
    sandbox.world.services["instances"].set_usage(HOST, users=[{"username": "ada", "email": EMAIL.lower()}])
    instance.carry_out(batch(ADMIN))
    assert [user.username for user in remote.accounts.values()] == ["ada"]
    assert effects(sandbox) == ["user.site_admin_set"]


def test_an_unverified_address_is_found_by_its_name(instance: Instance, remote: Remote, sandbox: SandboxServer) -> None:
    users = [{"username": "ada-lovelace-x", "email": EMAIL, "verified": False}]
    sandbox.world.services["instances"].set_usage(HOST, users=users)
    instance.carry_out(batch(ADMIN))
    assert [user.username for user in remote.accounts.values()] == ["ada-lovelace-x"]


def test_a_new_link_replaces_the_old_one(instance: Instance, remote: Remote, vault: Vault, sandbox: SandboxServer) -> None:
    """That is how the product does it, so a link is made at the moment at which somebody uses it."""
    instance.carry_out(batch(ADMIN))
    first = instance.carry_out(batch(LINK)).of("link-1")
    second = instance.carry_out(batch(LINK.model_copy(update={"key": "link-2"}))).of("link-2")
    assert opened(vault, first).status_code == 401
    assert opened(vault, second).status_code == 200


def test_whoever_never_came_is_removed(instance: Instance, remote: Remote, sandbox: SandboxServer) -> None:
    """Also when the answer is lost, and when nobody of that address is there; nobody else is."""
    sandbox.world.services["instances"].set_usage(HOST, users=[{"username": "grace", "email": "grace@acme.com"}])
    instance.carry_out(batch(ADMIN))
    assert len(remote.accounts) == 2
    sandbox.world.faults.append(Fault("instances", "cut_after", match="DeleteUser"))
    with pytest.raises(ApplicationError, match="may or may not have acted"):
        instance.carry_out(batch(GONE))
    instance.carry_out(batch(GONE))
    assert [user.username for user in remote.accounts.values()] == ["grace"]
    instance.carry_out(batch(GONE.model_copy(update={"key": "again"})))
    assert effects(sandbox).count("user.deleted") == 1


def test_who_was_the_admin_by_mistake_is_none_any_more(instance: Instance, remote: Remote, vault: Vault, sandbox: SandboxServer) -> None:
    instance.carry_out(batch(ADMIN))
    first = instance.carry_out(batch(LINK)).of("link-1")
    right = ADMIN.model_copy(update={"key": "admin-1", "email": "grace@acme.com", "instead_of": EMAIL})
    instance.carry_out(batch(right))
    second = instance.carry_out(batch(LINK.model_copy(update={"key": "link-2", "email": "grace@acme.com"}))).of("link-2")
    assert {user.email: user.site_admin for user in remote.accounts.values()} == {EMAIL: False, "grace@acme.com": True}
    assert opened(vault, first).status_code == 401
    assert opened(vault, second).status_code == 200
    ask = AskUsage(host=HOST, admin="grace@acme.com", former=(EMAIL,), as_of=AS_OF)
    assert instance.instance_usage(ask).joiners == 0
    assert instance.instance_usage(ask.model_copy(update={"former": ()})).joiners == 1


def test_no_link_without_an_admin(instance: Instance, remote: Remote) -> None:
    with pytest.raises(NotDone, match="create the admin first") as refused:
        instance.carry_out(batch(LINK))
    assert refused.value.non_retryable


def test_no_link_where_passwords_are_off(instance: Instance, remote: Remote, sandbox: SandboxServer) -> None:
    sandbox.world.services["instances"].builtin_auth = False
    with pytest.raises(NotDone, match="turn on the builtin auth provider"):
        instance.carry_out(batch(ADMIN))


@pytest.mark.parametrize(
    ("email", "name"), [("a.b@x.com", "a-b"), ("_x_@x.com", "_x_"), ("-.-@x.com", "admin-"), ("ÜÖ@x.com", "admin-"), ("a--b.@x.com", "a-b")]
)
def test_user_names_are_those_that_the_product_allows(email: str, name: str) -> None:
    names = list(usernames(email))
    assert names[0].startswith(name)
    assert len(set(names)) == len(names) == 100


# --- Whom it does not accept, and where nobody is ---------------------------------------------------------------------------------


def test_a_wrong_token_is_told(instance: Instance, remote: Remote, sandbox: SandboxServer) -> None:
    sandbox.world.services["instances"].token = "another"
    with pytest.raises(NotDone, match="does not accept our credential") as refused:
        instance.carry_out(batch(ADMIN))
    assert (refused.value.type, refused.value.non_retryable, refused.value.next_retry_delay) == (
        "InstanceForbidden",
        False,
        timedelta(minutes=5),
    )


def test_a_host_that_is_not_there_yet_is_tried_again(instance: Instance, sandbox: SandboxServer, ledger: Ledger) -> None:
    with pytest.raises(NotDone, match="nothing answers at") as gone:
        instance.carry_out(batch(ADMIN))
    assert not gone.value.non_retryable
    assert ledger.effects() == []


def test_what_is_no_host_is_refused(instance: Instance, sandbox: SandboxServer) -> None:
    with pytest.raises(NotDone, match="is not a host name") as refused:
        instance.carry_out(batch(ADMIN.model_copy(update={"host": "evil.example/x?"})))
    assert refused.value.non_retryable


# --- The operators' token -------------------------------------------------------------------------------------------------------


class Elsewhere(BaseHTTPRequestHandler):
    """A server of somebody else's: it keeps what it is sent, and answers as it likes."""

    status, location = 200, ""

    def do_POST(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Authorization")))  # type: ignore[attr-defined]
        self.send_response(self.status)
        if self.location:
            self.send_header("Location", self.location)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def elsewhere(**answers: Any) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The address of such a server, and what it was asked: (path, Authorization)."""
    server = HTTPServer(("127.0.0.1", 0), type("Here", (Elsewhere,), answers))
    server.asked = []  # type: ignore[attr-defined]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", server.asked  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


STRANGERS = (
    "code.acme.com",
    "evil.example",
    "cloud.tenure.example",
    "evilcloud.tenure.example",
    "acme.cloud.tenure.example.evil.example",
    "127.0.0.1",
    "localhost",
)


@pytest.mark.parametrize("host", STRANGERS)
def test_the_operators_token_goes_to_no_host_but_ours(settings: Settings, ledger: Ledger, vault: Vault, host: str) -> None:
    """Neither an act nor a look sends anything there; a person is told what to do."""
    with elsewhere() as (url, asked):
        made = Instance(settings.model_copy(update={"instance_url": url + "/{host}"}), ledger)
        for call in (
            lambda: made.carry_out(batch(ADMIN.model_copy(update={"host": host}))),
            lambda: made.carry_out(batch(SetKey(key="key", host=host, vault=vault.put("license_key", "k", None, "a key")))),
            lambda: made.instance_usage(AskUsage(host=host, admin=EMAIL, as_of=AS_OF)),
        ):
            with pytest.raises(ApplicationError, match=r"the operators' token is not sent there.*TENURE_INSTANCE_DOMAINS") as refused:
                call()
            assert refused.value.non_retryable
        made.close()
    assert asked == []


def test_a_domain_of_ours_that_the_settings_name_is_ours(settings: Settings, ledger: Ledger) -> None:
    with elsewhere() as (url, asked):
        ours = settings.model_copy(update={"instance_url": url + "/{host}", "instance_domains": "old.tenure.example, eu.tenure.example"})
        made = Instance(ours, ledger)
        with pytest.raises(ApplicationError):
            made.carry_out(batch(ADMIN.model_copy(update={"host": "acme.eu.tenure.example"})))
        made.close()
    assert [path for path, _ in asked] == ["/acme.eu.tenure.example/.api/graphql"]


def test_an_instance_that_moved_is_called_by_the_name_of_ours_that_it_kept(
    instance: Instance, remote: Remote, ledger: Ledger, sandbox: SandboxServer
) -> None:
    """A20: never by the customer's own host, whose address is theirs to change; without a kept name it is not called at all."""
    registry = Registry(ledger)
    claim = ClaimInstance(subject=SUBJECT, domain="acme.com", admin=EMAIL, cap=9, warm=False, host=HOST, as_of=AS_OF)
    assert registry.claim(claim).outcome == "claimed"
    for host in ("code.acme.com", "git.acme.com"):  # moved twice: the first name is the one that stays
        registry.registry(RegistryChange(subject=SUBJECT, domain="acme.com", as_of=AS_OF, change="rehost", host=host))
        sandbox.world.services["instances"].rename(remote.host, host, keep=True)
    assert registry.internal_of("git.acme.com") == HOST
    instance.carry_out(batch(ADMIN.model_copy(update={"host": "git.acme.com"})))
    assert instance.instance_usage(AskUsage(host="git.acme.com", admin=EMAIL, as_of=AS_OF)).joiners == 0
    assert remote.find(username="ada-lovelace-x")
    with pytest.raises(ApplicationError, match="is not sent there"):
        instance.instance_usage(AskUsage(host="code.acme.com", admin=EMAIL, as_of=AS_OF))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_token_does_not_follow_where_an_instance_points(settings: Settings, ledger: Ledger, status: int) -> None:
    with elsewhere() as (other, asked_there), elsewhere(status=status, location=other + "/x") as (url, asked):
        made = Instance(settings.model_copy(update={"instance_url": url + "/{host}"}), ledger)
        with pytest.raises(ApplicationError, match="our token is not sent there") as refused:
            made.carry_out(batch(ADMIN))
        made.close()
    assert refused.value.non_retryable
    assert (len(asked), asked_there) == (1, [])


def test_a_rate_limit_is_kept(instance: Instance, remote: Remote, sandbox: SandboxServer) -> None:
    sandbox.world.faults.append(Fault("instances", "rate_limit", retry_after=17))
    with pytest.raises(NotDone) as limited:
        instance.carry_out(batch(ADMIN))
    assert (limited.value.type, limited.value.next_retry_delay) == ("InstanceRateLimited", timedelta(seconds=17))


def test_nobody_listens(settings: Settings, ledger: Ledger) -> None:
    nowhere = Instance(settings.model_copy(update={"instance_url": "http://127.0.0.1:9/{host}"}), ledger)
    with pytest.raises(NotDone) as refused:
        nowhere.carry_out(batch(ADMIN))
    assert refused.value.type == "InstanceUnreachable"
    nowhere.close()


# --- The key ----------------------------------------------------------------------------------------------------------------------


def test_a_key_is_set_beside_what_stands_there(instance: Instance, remote: Remote, vault: Vault, sandbox: SandboxServer) -> None:
    remote.config = '{\n  // ours\n  "auth.providers": [{"type": "builtin"}],\n  "licenseKey": "old", /* soon */\n}'
    ref = vault.put("license_key", "new-key", None, "a key")
    receipt = instance.carry_out(batch(SetKey(key="license", host=HOST, vault=ref))).of("license")
    assert receipt.data == {"vault": ref}
    assert remote.config == '{\n  // ours\n  "auth.providers": [{"type": "builtin"}],\n  "licenseKey": "new-key", /* soon */\n}'
    assert effects(sandbox) == ["config.updated"]


def test_a_key_whose_answer_was_lost_is_not_set_twice(instance: Instance, remote: Remote, vault: Vault, sandbox: SandboxServer) -> None:
    act = SetKey(key="license", host=HOST, vault=vault.put("license_key", "new-key", None, "a key"))
    sandbox.world.faults.append(Fault("instances", "cut_after", match="updateSiteConfiguration"))
    with pytest.raises(ApplicationError, match="may or may not have acted"):
        instance.carry_out(batch(act))
    instance.carry_out(batch(act))
    assert remote.license_key == "new-key"
    assert effects(sandbox) == ["config.updated"]


def test_somebody_elses_edit_is_not_overwritten(instance: Instance, remote: Remote, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    act = SetKey(key="license", host=HOST, vault=vault.put("license_key", "new-key", None, "a key"))
    read = instance._configuration

    def then_edited(host: str) -> tuple[int, str, str | None]:
        answer = read(host)
        remote.config, remote.config_id = '{"theirs": true}', remote.config_id + 1
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(instance, "_configuration", then_edited)
        with pytest.raises(NotDone, match="changed by somebody else") as conflict:
            instance.carry_out(batch(act))
    assert not conflict.value.non_retryable
    instance.carry_out(batch(act))
    assert get_text(remote.config, "licenseKey") == "new-key"
    assert '"theirs": true' in remote.config


def test_without_a_key_of_its_own_it_gets_the_current_cohorts(instance: Instance, remote: Remote, vault: Vault, ledger: Ledger) -> None:
    act = SetKey(key="license", host=HOST)
    with pytest.raises(NotDone, match="no generic trial key yet") as early:
        instance.carry_out(batch(act))
    assert not early.value.non_retryable
    for number in (1, 2):
        ref = vault.put("license_key", f"generic-{number}", None, "generic")
        ledger.add_cohort(
            EffectId("generic-license/1.1", f"rotation-{number}"),
            vault=ref,
            subscription=f"sub-{number}",
            seats=1000,
            tags=("plan:enterprise-1",),
            rotated_at=AS_OF,
            expires_at=AS_OF + timedelta(days=37),
        )
    receipt = instance.carry_out(batch(act)).of("license")
    assert receipt.data == {"vault": ref, "cohort": "2", "expires_at": (AS_OF + timedelta(days=37)).isoformat()}
    assert remote.license_key == "generic-2"


def test_a_key_that_the_vault_lost_is_refused(instance: Instance, remote: Remote) -> None:
    with pytest.raises(NotDone, match="the vault has no 'nothing'") as refused:
        instance.carry_out(batch(SetKey(key="license", host=HOST, vault="nothing")))
    assert refused.value.non_retryable


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{}", '{\n  "k": "v"\n}'),
        ("", '{\n  "k": "v"\n}'),
        ('{"a": 1}', '{\n  "k": "v","a": 1}'),
        ('{"k": null}', '{"k": "v"}'),
        ('{"k": {"k": "x"}, "b": 2}', '{"k": "v", "b": 2}'),
        ('{"a": {"k": "inner"}}', '{\n  "k": "v","a": {"k": "inner"}}'),
        ('// "k": "no"\n{"k" /* c */ : "x" /* d */,}', '// "k": "no"\n{"k" /* c */ : "v" /* d */,}'),
        (r'{"a": "q\"k\": {", "k": "x"}', r'{"a": "q\"k\": {", "k": "v"}'),
    ],
)
def test_setting_one_text_leaves_the_rest(before: str, after: str) -> None:
    assert set_text(before, "k", "v") == after
    assert get_text(after, "k") == "v"


@pytest.mark.parametrize("wrong", ["[]", "true", '{"a": "unclosed', '{"k": {'])
def test_what_is_no_configuration_is_not_edited(wrong: str) -> None:
    with pytest.raises(JsoncError):
        set_text(wrong, "k", "v")


# --- Use --------------------------------------------------------------------------------------------------------------------------


def usage(instance: Instance) -> Any:
    return instance.instance_usage(AskUsage(host=HOST, admin=EMAIL, as_of=AS_OF))


def test_use_without_operators(instance: Instance, remote: Remote, sandbox: SandboxServer) -> None:
    seen = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)
    sandbox.world.services["instances"].set_usage(
        HOST,
        code_hosts=2,
        sso=True,
        users=[
            {"username": "ada", "email": EMAIL.upper(), "searches": 3, "result_views": 1, "last_active": seen - timedelta(days=2)},
            {"username": "grace", "email": "grace@acme.com", "searches": 4, "result_views": 5, "last_active": seen},
            {"username": "idle", "email": "idle@acme.com"},
            {"username": "ce", "email": "ce@Tenure.example", "searches": 90, "result_views": 90, "last_active": seen + timedelta(days=1)},
        ],
    )
    said = usage(instance)
    assert (said.as_of, said.code_hosts, said.joiners, said.searches, said.result_views, said.sso) == (AS_OF, 2, 2, 7, 6, True)
    assert said.last_active_at == seen


def test_no_use_at_all(instance: Instance, remote: Remote) -> None:
    said = usage(instance)
    assert (said.code_hosts, said.joiners, said.searches, said.result_views, said.last_active_at, said.sso) == (0, 0, 0, 0, None, False)


def test_more_users_than_one_answer_holds(
    instance: Instance, remote: Remote, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.instance.FIRST_USERS", 2)
    users = [{"username": f"u{number}", "email": f"u{number}@acme.com", "searches": 1} for number in range(5)]
    sandbox.world.services["instances"].set_usage(HOST, users=users)
    assert (usage(instance).joiners, usage(instance).searches) == (5, 5)


def test_use_of_an_instance_that_fails(instance: Instance, remote: Remote, sandbox: SandboxServer) -> None:
    sandbox.world.faults.append(Fault("instances", "status", status=503))
    with pytest.raises(ApplicationError, match="HTTP 503"):
        usage(instance)
