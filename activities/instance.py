"""The customer's instance: its initial admin, reset links, its licence key, and what it says about its use (A9, A13, A15, A24, C17).

The operators' token goes to hosts below our own domains only. An instance that moved to a host of the customer's keeps its name below ours,
and is called by that: whoever rules over the customer's DNS may point their host anywhere.

Reset links and keys never leave the vault's table in the clear: a receipt carries a reference of the vault. A reset link is made when
the share link in the admin's mail is opened, so none waits anywhere.
"""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.asking import Ask, Scope
from activities.effects.outside_system import OutsideSystem, carries_out
from activities.errors import refused
from activities.http import GraphQL, GraphQLError, Json, translated
from activities.jsonc import JsoncError, get_text, set_text
from domain.cloud.issues import is_ours
from domain.effects.effect import Receipt
from domain.effects.instance import CreateAdmin, RemoveUser, ResetLink, SetKey
from domain.effects.reconcile import Claim, Thing, Unseen
from domain.ids import digest
from domain.messages import AskUsage, Usage
from store.effect_kinds import below, claim, data, of, ref_of
from store.ledger import EffectId, EffectRow, Ledger, NotDone
from store.registry import Registry
from store.settings import Settings
from store.vault import Vault, VaultError

SYSTEM = "Instance"
LICENSE = "licenseKey"
HOSTS_AT_ONCE = 8
FIRST_USERS = 1000
"""Users asked for at once; an instance that has more is asked again for all."""


def _key_set(row: EffectRow) -> tuple[Claim, ...]:
    return (claim(row, "licence key", ref_of(row), key=data(row, "vault")),)


_USER_IS_THERE = of("user", ref=below("host"), removed="no")


class Instance(OutsideSystem, name="instance", title="The customer's instance"):
    """Calls the GraphQL API of customers' instances, with the operators' token. A user who is gone stays gone.

    No effect needs a probe: each looks first what the instance shows, at every attempt.
    """

    _client: GraphQL

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        super().__init__(settings, ledger)
        self._vault = Vault(ledger, settings.key())
        self._own = settings.own_domains()
        self._registry = Registry(ledger)
        self._client = GraphQL(SYSTEM, "instance", settings.instance_token.get_secret_value())

    def error(self, error: Exception) -> ApplicationError | None:
        """What an exception of this file's means; None for one that it does not know."""
        if isinstance(error, VaultError):
            return refused("Vault", str(error))
        if isinstance(error, JsoncError):
            return refused(SYSTEM, f"{error}; mend the site configuration and try again")
        return translated(SYSTEM, error)

    @activity.defn(name="instance_usage")
    def instance_usage(self, ask: AskUsage) -> Usage:
        """What the instance says about its use now. Users with an address of ours are operators and are not counted."""
        with self.looking(ask.host, waited_for=True):
            answer = self._call(ask.host, "Usage", first=FIRST_USERS)
            if answer["users"]["pageInfo"]["hasNextPage"]:
                answer = self._call(ask.host, "Usage", first=int(answer["users"]["totalCount"]))
        domain = f"@{self._settings.vendor_domain.lower()}"
        admins = {email.lower() for email in (ask.admin, *ask.former)}
        customers, joiners = [], 0
        for user in answer["users"]["nodes"]:
            emails = {each["email"].lower() for each in user["emails"]}
            if any(email.endswith(domain) for email in emails):
                continue
            customers.append(user["usageStatistics"])
            joiners += admins.isdisjoint(emails)
        seen = [datetime.fromisoformat(moment) for use in customers if (moment := use["lastActiveTime"])]
        return Usage(
            as_of=ask.as_of,
            code_hosts=answer["externalServices"]["totalCount"],
            joiners=joiners,
            last_active_at=max((at if at.tzinfo else at.replace(tzinfo=UTC) for at in seen), default=None),
            searches=sum(use["searchQueries"] for use in customers),
            result_views=sum(use["pageViews"] for use in customers),
            sso=any(provider["serviceType"] != "builtin" for provider in answer["site"]["authProviders"]["nodes"]),
        )

    def remote(self, ask: Ask, scope: Scope) -> Iterator[Thing | Unseen]:
        """The users and the licence key of the hosts on record. Each is a server of its own, so some are asked at once.

        A host that the registry has no more was torn down, or given another name, and is not asked.
        """
        users, keys = scope.refs("user"), scope.refs("licence key")
        hosts = sorted(keys | {ref.partition("/")[0] for ref in users})
        standing = {instance.host for instance in self._registry.instances()}
        vaults = {host: [claim.state["key"] for claim in scope.claims if claim.ref == host] for host in keys}
        gone = {claim.ref for claim in scope.claims if claim.state.get("removed") == "yes"}
        with ThreadPoolExecutor(max_workers=HOSTS_AT_ONCE, thread_name_prefix="instances") as threads:
            for found in threads.map(lambda host: self._shown(ask, host, vaults.get(host, []), host in standing, gone), hosts):
                yield from found

    def _shown(self, ask: Ask, host: str, vaults: list[str], standing: bool, gone: set[str]) -> list[Thing | Unseen]:
        def unseen(why: str, failed: bool = False) -> list[Thing | Unseen]:
            return [Unseen(kind="user", under=f"{host}/", why=why, failed=failed), Unseen(kind="licence key", under=host, why=why)]

        if not standing:
            return unseen("the instance stands no more, by the registry")
        try:
            users = self._client.listed(self._url(host), "Users", "users", first=FIRST_USERS, ask=ask)
            there = {f"{host}/{user['id']}": f"{user['username']} on {host}" for user in users}
            found: list[Thing | Unseen] = [
                Thing(kind="user", ref=ref, where=where, state={"removed": "no"}) for ref, where in there.items()
            ]
            removed = sorted(ref for ref in gone - there.keys() if ref.startswith(f"{host}/"))
            found += [Thing(kind="user", ref=ref, where=ref, state={"removed": "yes"}) for ref in removed]
            if vaults:
                key = ask(lambda: self._configuration(host))[2]
                # Told by the vault's reference, never by the key.
                known = next((ref for ref in reversed(vaults) if key is not None and key == self._vault.get(ref)), "another one")
                found.append(Thing(kind="licence key", ref=host, state={"key": known}, where=f"the key on {host}"))
        except (ApplicationError, VaultError) as error:
            return unseen(f"{host}: {error}", failed=True)
        return found

    def _find(self, host: str, email: str) -> Json | None:
        """The user with that address. One whose address is not verified is found only by name, so that is asked too."""
        found = self._call(host, "FindUser", email=email, username=next(usernames(email)))
        by_email, by_name = found["byEmail"], found["byName"]
        theirs = by_name and email.lower() in {each["email"].lower() for each in by_name["emails"]}
        user: Json | None = by_email or (by_name if theirs else None)
        return user

    @carries_out(CreateAdmin, act="admin.created", code=_find, claims=_USER_IS_THERE, first=_USER_IS_THERE)
    def _create_admin(self, effect: CreateAdmin, effect_id: EffectId) -> Receipt:
        """Make the user unless it is there, and make it a site admin unless it is one.

        Whom it comes instead of is no admin any more, and neither password nor link of theirs works.
        """
        if (user := self._find(effect.host, effect.email)) is None:
            asked = ((name, self._call(effect.host, "FindUser", email=effect.email, username=name)) for name in usernames(effect.email))
            name = next(name for name, found in asked if found["byName"] is None)
            made = self._call(effect.host, "CreateUser", username=name, email=effect.email)["createUser"]
            user = dict(made["user"])
            self._ledger.part(effect_id, Receipt(ref=user["id"], data={"username": user["username"], "host": effect.host}))
            _checked(effect.host, made["resetPasswordURL"])  # not kept: the admin's own click makes another
        if not user["siteAdmin"]:
            self._call(effect.host, "MakeSiteAdmin", user=user["id"])
        before = self._find(effect.host, effect.instead_of) if effect.instead_of else None
        if before is not None and before["id"] != user["id"]:
            if before["siteAdmin"]:
                self._call(effect.host, "EndSiteAdmin", user=before["id"])
            self._call(effect.host, "NewResetLink", user=before["id"])  # what was mailed to the wrong address opens nothing any more
        return Receipt(ref=user["id"], data={"host": effect.host})

    @carries_out(RemoveUser, act="user.removed", code=_find, claims=of("user", ref=below("host"), removed="yes"))
    def _remove(self, effect: RemoveUser, _effect_id: EffectId) -> Receipt:
        user = self._find(effect.host, effect.email)
        if user is not None:
            self._call(effect.host, "DeleteUser", user=user["id"])
        return Receipt(ref=user["id"] if user else "", data={"host": effect.host})

    @carries_out(ResetLink, act="reset_link.made", claims=_USER_IS_THERE)
    def _new_link(self, effect: ResetLink, _effect_id: EffectId) -> Receipt:
        user = self._find(effect.host, effect.email)
        if user is None:
            raise refused(SYSTEM, f"{effect.host} has no user with the admin's address; create the admin first", kind="UserMissing")
        url = _checked(effect.host, self._call(effect.host, "NewResetLink", user=user["id"])["randomizeUserPassword"]["resetPasswordURL"])
        expires = datetime.now(UTC) + timedelta(hours=effect.ttl_hours)
        kept = self._vault.put("reset_link", url, expires, note_of(effect.host))
        return Receipt(ref=user["id"], data={"vault": kept, "host": effect.host})

    def _key(self, effect: SetKey) -> tuple[str, dict[str, str]]:
        """The key to set, and what the receipt says of it."""
        if effect.vault:
            return self._vault.get(effect.vault), {"vault": effect.vault}
        cohort = self._ledger.current_cohort()
        if cohort is None:
            message = "there is no generic trial key yet; the rotation of the generic key makes the first"
            raise NotDone(message, type="NoGenericKey", next_retry_delay=timedelta(minutes=1))
        data = {"vault": cohort.vault, "cohort": str(cohort.number), "expires_at": cohort.expires_at.isoformat()}
        return self._vault.get(cohort.vault), data

    @carries_out(SetKey, act="license.set", claims=_key_set)
    def _set_key(self, effect: SetKey, _effect_id: EffectId) -> Receipt:
        key, data = self._key(effect)
        last, contents, current = self._configuration(effect.host)
        if current != key:
            try:
                self._call(effect.host, "Configure", lastID=last, input=set_text(contents, LICENSE, key))
            except GraphQLError as error:
                if "newer edit" in error.text:
                    message = f"{effect.host}'s configuration was changed by somebody else meanwhile; the next try reads it again"
                    raise NotDone(message, type="InstanceConfigurationChanged") from None
                raise
        return Receipt(ref=effect.host, data=data)

    def _configuration(self, host: str) -> tuple[int, str, str | None]:
        """The id of the configuration, its text, and the licence key in it."""
        configuration = self._call(host, "Configuration")["site"]["configuration"]
        contents = str(configuration["effectiveContents"])
        return int(configuration["id"]), contents, get_text(contents, LICENSE)

    def _call(self, host: str, operation: str, **variables: Any) -> Json:
        return self._client.call(self._url(host), operation, **variables)

    def _url(self, host: str) -> str:
        try:
            self._settings.instance(host)
            return self._settings.instance(self._ours(host))
        except ValueError as error:
            raise refused(SYSTEM, str(error)) from None

    def _ours(self, host: str) -> str:
        """The name below our own domains of the instance at ``host``; the only place where it is decided who gets the operators' token."""
        for name in (host, self._registry.internal_of(host)):
            if is_ours(name, self._own):
                return name
        text = f"{host} is not below {' or '.join(self._own)}, and the registry has no such name of it"
        advice = "the operators' token is not sent there; if it is ours, add its domain to TENURE_INSTANCE_DOMAINS"
        raise refused(SYSTEM, f"{text}: {advice}", kind="NotOurs")


def note_of(host: str) -> str:
    """What the vault says of a reset link: where it opens, and nobody's name."""
    return f"on {host}"


def usernames(email: str) -> Iterator[str]:
    """User names for an address, best first: what stands before the @, in the characters that the product allows, then with a number."""
    local = re.sub(r"[^a-z0-9_]+", "-", email.partition("@")[0].lower()).strip("-")[:200]
    name = local or f"admin-{digest(email)}"
    yield name
    for number in range(2, 100):
        yield f"{name}-{number}"
    yield f"{name}-{digest(email)}"


def _checked(host: str, url: str | None) -> str:
    """The reset link that an instance made."""
    if not url:
        message = f"{host} made no reset link: sign-in by password is off there; turn on the builtin auth provider"
        raise refused(SYSTEM, message, kind="NoResetLink")
    return url
