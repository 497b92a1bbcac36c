"""What the types of ``instance.graphql`` resolve to. Attributes, methods and arguments have the schema's names."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError

from sandbox.graphql_api import Connection, LicenseInfoView, decode_license, global_id, read_id, rfc3339
from sandbox.instance_store import Account, Instance, parse_jsonc

if TYPE_CHECKING:
    from sandbox.instances import Instances

VERSION = "5.1.0"

_USERNAME = re.compile(r"^\w(?:\w|[-.](?=\w))*-?$", re.ASCII)  # the product's own rule


class _Email:
    def __init__(self, account: Account) -> None:
        self.email = account.email
        self.isPrimary = True
        self.verified = account.verified


class _User:
    def __init__(self, account: Account) -> None:
        self.id = global_id("User", account.number)
        self.username = account.username
        self.email = account.email
        self.displayName = None
        self.createdAt = rfc3339(account.created_at)
        self.siteAdmin = account.site_admin
        self.builtinAuth = True
        self.emails = [_Email(account)] if account.email else []
        self.usageStatistics = {
            "searchQueries": account.searches,
            "pageViews": account.result_views,
            "codeIntelligenceActions": account.code_intel,
            "findReferencesActions": 0,
            "lastActiveTime": rfc3339(account.last_active),
            "lastActiveCodeHostIntegrationTime": None,
        }


class _SiteUser:
    def __init__(self, account: Account) -> None:
        self.id = global_id("User", account.number)
        self.username = account.username
        self.email = account.email or None
        self.displayName = None
        self.createdAt = rfc3339(account.created_at)
        self.lastActiveAt = rfc3339(account.last_active)
        self.deletedAt = None
        self.siteAdmin = account.site_admin
        self.scimControlled = False
        self.eventsCount = float(account.searches + account.result_views + account.code_intel)
        self.locked = False


class _SiteUsers:
    def __init__(self, accounts: list[Account]) -> None:
        self._accounts = accounts
        self.totalCount = float(len(accounts))

    def nodes(self, _info: object, limit: int | None = None, offset: int | None = None) -> list[_SiteUser]:
        start = offset or 0
        return [_SiteUser(a) for a in self._accounts[start : None if limit is None else start + limit]]


class _Site:
    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self.id = global_id("Site", 1)
        self.siteID = instance.site_id
        self.productVersion = VERSION
        self.needsRepositoryConfiguration = instance.code_hosts == 0
        self.configuration = {"id": instance.config_id, "effectiveContents": instance.config}
        self.externalServicesCounts = {"remoteExternalServicesCount": instance.code_hosts, "localExternalServicesCount": 0}

    def authProviders(self, _info: object) -> Connection[dict[str, Any]]:
        builtin = _provider("builtin", "", "Builtin username-password authentication", True)
        saml = _provider("saml", f"https://{self._instance.host}/.auth/saml/metadata", "SAML", False)
        return Connection([builtin, saml] if self._instance.sso else [builtin])

    def productSubscription(self, _info: object) -> dict[str, Any]:
        info = decode_license(self._instance.license_key or "")
        view = LicenseInfoView(info) if info else None
        return {
            "productNameWithBrand": view.productNameWithBrand if view else "Sourcegraph Free",
            "actualUserCount": len(self._instance.accounts),
            "actualUserCountDate": "",
            "maximumAllowedUserCount": info.user_count if info else 10,
            "noLicenseWarningUserCount": None if info else 10,
            "license": view,
        }

    def usageStatistics(
        self, _info: object, days: int | None = None, weeks: int | None = None, months: int | None = None
    ) -> dict[str, list[dict[str, Any]]]:
        usage = _Usage(self._instance, datetime.now(UTC))
        return {
            "daus": usage.days(14 if days is None else days),
            "waus": usage.weeks(10 if weeks is None else weeks),
            "maus": usage.months(3 if months is None else months),
        }

    def users(
        self,
        _info: object,
        query: str | None = None,
        siteAdmin: bool | None = None,
        username: str | None = None,
        email: str | None = None,
    ) -> _SiteUsers:
        return _SiteUsers(
            [
                a
                for a in self._instance.accounts.values()
                if _within(query, f"{a.username} {a.email}")
                and _within(username, a.username)
                and _within(email, a.email)
                and (siteAdmin is None or a.site_admin == siteAdmin)
            ]
        )


class _Usage:
    """Active users per period, newest first, the running period included: periods begin at midnight UTC, weeks on Sunday."""

    def __init__(self, instance: Instance, moment: datetime) -> None:
        self._instance = instance
        self._today = moment.replace(hour=0, minute=0, second=0, microsecond=0)

    def days(self, count: int) -> list[dict[str, Any]]:
        starts = [self._today - timedelta(days=n) for n in range(count)]
        return [
            _period(start, max(self._said(self._instance.daus, n), self._seen(start, start + timedelta(days=1))))
            for n, start in enumerate(starts)
        ]

    def weeks(self, count: int) -> list[dict[str, Any]]:
        sunday = self._today - timedelta(days=(self._today.weekday() + 1) % 7)
        starts = [sunday - timedelta(weeks=n) for n in range(count)]
        return self._long([(start, start + timedelta(weeks=1)) for start in starts], self._instance.waus)

    def months(self, count: int) -> list[dict[str, Any]]:
        spans, end = [], self._today.replace(day=1) + timedelta(days=32)
        for _ in range(count):
            end = end.replace(day=1)
            start = (end - timedelta(days=1)).replace(day=1)
            spans.append((start, end))
            end = start
        return self._long(spans, self._instance.maus)

    def _long(self, spans: list[tuple[datetime, datetime]], said: list[int] | None) -> list[dict[str, Any]]:
        if said is not None:
            return [_period(start, self._said(said, n)) for n, (start, _) in enumerate(spans)]
        return [_period(start, max(self._busiest_day(start, end), self._seen(start, end))) for start, end in spans]

    def _busiest_day(self, start: datetime, end: datetime) -> int:
        """At least as many people were active in the period as on its busiest day."""
        return max((n for age, n in enumerate(self._instance.daus) if start <= self._today - timedelta(days=age) < end), default=0)

    def _seen(self, start: datetime, end: datetime) -> int:
        return sum(a.last_active is not None and start <= a.last_active < end for a in self._instance.accounts.values())

    @staticmethod
    def _said(values: list[int], index: int) -> int:
        return values[index] if index < len(values) else 0


class Root:
    """The top fields of queries and mutations of one instance; ``address`` is where its pages are found."""

    def __init__(self, service: Instances, instance: Instance, address: str) -> None:
        self._service = service
        self._instance = instance
        self._address = address
        self.site = _Site(instance)
        self.currentUser = None

    def user(self, _info: object, username: str | None = None, email: str | None = None) -> _User | None:
        account = self._instance.find(username, email)
        return _User(account) if account else None

    def users(self, _info: object, first: int | None = None, query: str | None = None) -> Connection[_User]:
        found = [_User(a) for a in self._instance.accounts.values() if _within(query, f"{a.username} {a.email}")]
        return Connection(found, first)

    def externalServices(self, _info: object, first: int | None = None) -> Connection[dict[str, Any]]:
        made = [
            {"id": global_id("ExternalService", n + 1), "kind": "GITHUB", "displayName": f"Code host {n + 1}"}
            for n in range(self._instance.code_hosts)
        ]
        return Connection(made, first)

    def createUser(self, _info: object, username: str, email: str | None = None, verifiedEmail: bool | None = None) -> dict[str, Any]:
        if not _USERNAME.match(username) or len(username) > 255:
            raise GraphQLError(f"invalid username {username!r}")
        if self._instance.find(username=username):
            raise GraphQLError("cannot create user: err_username_exists: username already exists")
        if email and self._instance.find(email=email):
            raise GraphQLError("cannot create user: err_email_exists: email already exists")
        number = self._instance.new_number()
        account = Account(number, username, email or "", bool(email) and verifiedEmail is not False, datetime.now(UTC))
        self._instance.accounts[number] = account
        self._log("user.created", username, username=username, email=account.email)
        return {"user": _User(account), "resetPasswordURL": self._new_link(account)}

    def randomizeUserPassword(self, _info: object, user: str) -> dict[str, Any]:
        account = self._account(user)
        url = self._new_link(account)
        self._log("password.randomized", account.username, username=account.username)
        return {"resetPasswordURL": url, "emailSent": False}

    def deleteUser(self, _info: object, user: str, hard: bool | None = None) -> dict[str, None]:
        account = self._account(user)
        del self._instance.accounts[account.number]
        self._log("user.deleted", account.username, username=account.username, hard=bool(hard))
        return {"alwaysNil": None}

    def setUserIsSiteAdmin(self, _info: object, userID: str, siteAdmin: bool) -> dict[str, None]:
        account = self._account(userID)
        account.site_admin = siteAdmin
        self._log("user.site_admin_set", f"{account.username}: {siteAdmin}", username=account.username, site_admin=siteAdmin)
        return {"alwaysNil": None}

    def updateSiteConfiguration(self, _info: object, lastID: int, input: str) -> bool:
        if not input.strip():
            raise GraphQLError(
                "blank site configuration is invalid (you can clear the site configuration by entering an empty JSON object: {})"
            )
        if lastID != self._instance.config_id:
            raise GraphQLError("someone else has already applied a newer edit")
        try:
            parsed = parse_jsonc(input)
        except ValueError as error:
            raise GraphQLError(f"failed to parse site configuration: {error}") from None
        self._instance.config = input
        self._instance.config_id += 1
        # the key itself stays out of the log, as any secret would
        self._log(
            "config.updated", f"version {self._instance.config_id}", id=self._instance.config_id, licensed=bool(parsed.get("licenseKey"))
        )
        return False

    def _account(self, user: str) -> Account:
        account = self._instance.accounts.get(read_id("User", user))
        if account is None:
            raise GraphQLError(f"user not found: {user}")
        return account

    def _new_link(self, account: Account) -> str | None:
        if not self._service.builtin_auth:
            return None
        account.link = secrets.token_urlsafe(16)
        return f"{self._address}/password-reset?userID={account.number}&code={account.link}"

    def _log(self, act: str, what: str, **data: Any) -> None:
        self._service.world.log.effect("instances", act, f"{self._instance.host}: {what}", host=self._instance.host, **data)


def _provider(kind: str, service_id: str, name: str, builtin: bool) -> dict[str, Any]:
    return {
        "serviceType": kind,
        "serviceID": service_id,
        "clientID": "",
        "displayName": name,
        "isBuiltin": builtin,
        "authenticationURL": None if builtin else f"/.auth/{kind}/login",
    }


def _period(start: datetime, users: int) -> dict[str, Any]:
    return {
        "startTime": rfc3339(start),
        "userCount": users,
        "registeredUserCount": users,
        "anonymousUserCount": 0,
        "integrationUserCount": 0,
    }


def _within(wanted: str | None, text: str) -> bool:
    return wanted is None or wanted.lower() in text.lower()
