"""A stand-in for the licensing API: product subscriptions and licence keys, at ``/.api/graphql``.

Nothing is idempotent: each mutation makes a new object, as the real one does. Licences are listed newest first. Faults belong to
the layer around this application.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from graphql import GraphQLError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.core import Numbers, World
from sandbox.graphql_api import (
    Connection,
    LicenseInfo,
    LicenseInfoView,
    encode_license,
    global_id,
    load_schema,
    read_id,
    refuse,
    rfc3339,
    serve,
)

TOKEN = "sandbox-licensing-token"
DEFAULT_OWNER = "tenure-trials"


@dataclass
class Owner:
    """The account that holds subscriptions."""

    number: int
    username: str
    email: str


@dataclass
class License:
    """A key that was made for the subscription of that number. Revoked keys stay listed."""

    number: int
    key: str
    info: LicenseInfo
    subscription: int
    created_at: datetime
    revoked_at: datetime | None = None
    revoke_reason: str | None = None


@dataclass
class Subscription:
    """A product subscription of the owner of that number, with its licences."""

    number: int
    uuid: str
    owner: int
    created_at: datetime
    archived: bool = False
    licenses: list[License] = field(default_factory=list)


@dataclass
class LicensingState:
    """What is kept of the licensing API."""

    token: str
    owners: dict[int, Owner]
    subscriptions: dict[int, Subscription]
    following: int


class Licensing:
    """The service object in ``world.services["licensing"]``."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.reset()

    def reset(self) -> None:
        """Only the default owner is left."""
        self.token = TOKEN
        self.owners: dict[int, Owner] = {}
        self.subscriptions: dict[int, Subscription] = {}
        self.licenses: dict[int, License] = {}
        self._numbers = Numbers()
        self.add_owner(DEFAULT_OWNER, f"{DEFAULT_OWNER}@tenure.example")

    def dump(self) -> LicensingState:
        """What is to be kept."""
        return LicensingState(self.token, self.owners, self.subscriptions, self._numbers.following)

    def load(self, state: LicensingState) -> None:
        """Go on from what was kept."""
        self.token, self.owners, self.subscriptions = state.token, state.owners, state.subscriptions
        made = [each for held in state.subscriptions.values() for each in held.licenses]
        self.licenses = {each.number: each for each in sorted(made, key=lambda each: each.number)}
        self._numbers = Numbers(state.following)

    def owner_of(self, held: Subscription) -> Owner:
        """Whose subscription it is."""
        return self.owners[held.owner]

    def subscription_of(self, made: License) -> Subscription:
        """What a licence was made for."""
        return self.subscriptions[made.subscription]

    def seed(self, data: dict[str, Any]) -> None:
        """``token`` replaces the valid token, ``users`` ([{username, email}]) adds owners."""
        self.token = str(data.get("token", self.token))
        for each in data.get("users", ()):
            self.add_owner(each["username"], each.get("email", ""))

    def new_number(self) -> int:
        """A number that nothing else has."""
        return next(self._numbers)

    def add_owner(self, username: str, email: str) -> Owner:
        """A new owner; GraphQLError when the name is taken."""
        if any(owner.username.lower() == username.lower() for owner in self.owners.values()):
            raise GraphQLError("cannot create user: err_username_exists: username already exists")
        owner = Owner(self.new_number(), username, email)
        self.owners[owner.number] = owner
        return owner


class _OwnerView:
    def __init__(self, owner: Owner) -> None:
        self.id = global_id("User", owner.number)
        self.username = owner.username
        self.email = owner.email


class _LicenseView:
    def __init__(self, service: Licensing, made: License) -> None:
        self._service = service
        self._made = made
        self.id = global_id("ProductLicense", made.number)
        self.info = LicenseInfoView(made.info)
        self.licenseKey = made.key
        self.siteID = None
        self.createdAt = rfc3339(made.created_at)
        self.revokedAt = rfc3339(made.revoked_at)
        self.revokeReason = made.revoke_reason
        self.version = 2

    def subscription(self, _info: object) -> _SubscriptionView:
        return _SubscriptionView(self._service, self._service.subscription_of(self._made))


class _SubscriptionView:
    def __init__(self, service: Licensing, held: Subscription) -> None:
        self._service = service
        self._held = held
        self.id = global_id("ProductSubscription", held.number)
        self.uuid = held.uuid
        self.name = f"L-{held.uuid[:10].upper()}"
        self.account = _OwnerView(service.owner_of(held))
        self.createdAt = rfc3339(held.created_at)
        self.isArchived = held.archived
        self.url = f"/subscriptions/{held.uuid}"
        self.urlForSiteAdmin = f"/site-admin/dotcom/product/subscriptions/{held.uuid}"

    def activeLicense(self, _info: object) -> _LicenseView | None:
        valid = [made for made in self._held.licenses if made.revoked_at is None]
        return _LicenseView(self._service, valid[-1]) if valid else None

    def productLicenses(self, _info: object, first: int | None = None) -> Connection[_LicenseView]:
        return Connection([_LicenseView(self._service, made) for made in reversed(self._held.licenses)], first)


class _Dotcom:
    """The ``dotcom`` field of both queries and mutations."""

    def __init__(self, service: Licensing) -> None:
        self._service = service

    # --- queries

    def productSubscription(self, _info: object, uuid: str) -> _SubscriptionView:
        for held in self._service.subscriptions.values():
            if held.uuid == uuid:
                return _SubscriptionView(self._service, held)
        raise GraphQLError("product subscription not found")

    def productSubscriptions(
        self, _info: object, first: int | None = None, account: str | None = None, query: str | None = None
    ) -> Connection[_SubscriptionView]:
        owner = None if account is None else self._owner(account)
        found = [
            _SubscriptionView(self._service, held)
            for held in reversed(self._service.subscriptions.values())
            if (owner is None or held.owner == owner.number)
            and (not query or query.lower() in self._service.owner_of(held).username.lower())
        ]
        return Connection(found, first)

    def productLicenses(
        self, _info: object, first: int | None = None, licenseKeySubstring: str | None = None, productSubscriptionID: str | None = None
    ) -> Connection[_LicenseView]:
        held = None if productSubscriptionID is None else self._subscription(productSubscriptionID)
        found = [
            _LicenseView(self._service, made)
            for made in reversed(self._service.licenses.values())
            if (held is None or made.subscription == held.number) and (licenseKeySubstring or "") in made.key
        ]
        return Connection(found, first)

    # --- mutations

    def createProductSubscription(self, _info: object, accountID: str) -> _SubscriptionView:
        owner = self._owner(accountID)
        held = Subscription(self._service.new_number(), str(uuid4()), owner.number, datetime.now(UTC))
        self._service.subscriptions[held.number] = held
        self._log("subscription.created", f"for {owner.username}", uuid=held.uuid, account=owner.username)
        return _SubscriptionView(self._service, held)

    def generateProductLicenseForSubscription(self, _info: object, productSubscriptionID: str, license: dict[str, Any]) -> _LicenseView:
        held = self._subscription(productSubscriptionID)
        extra = {name: license[name] for name in ("salesforceSubscriptionID", "salesforceOpportunityID") if license.get(name)}
        info = LicenseInfo(tuple(license["tags"]), license["userCount"], license["expiresAt"], extra)
        made = License(self._service.new_number(), encode_license(info, uuid4().hex[:8]), info, held.number, datetime.now(UTC))
        held.licenses.append(made)
        self._service.licenses[made.number] = made
        what = f"{info.user_count} users, {', '.join(info.tags) or 'no tags'}"
        self._log("license.created", what, uuid=held.uuid, tags=list(info.tags), users=info.user_count, expires_at=info.expires_at)
        return _LicenseView(self._service, made)

    def revokeLicense(self, _info: object, id: str, reason: str) -> dict[str, None]:
        made = self._service.licenses.get(read_id("ProductLicense", id))
        if made is None:
            raise GraphQLError("product license not found")
        if made.revoked_at is not None:
            raise GraphQLError("product license is already revoked")
        made.revoked_at, made.revoke_reason = datetime.now(UTC), reason
        self._log("license.revoked", reason, uuid=self._service.subscription_of(made).uuid, reason=reason)
        return {"alwaysNil": None}

    def archiveProductSubscription(self, _info: object, id: str) -> dict[str, None]:
        held = self._subscription(id)
        held.archived = True
        self._log("subscription.archived", f"of {self._service.owner_of(held).username}", uuid=held.uuid)
        return {"alwaysNil": None}

    # --- shared

    def _owner(self, account: str) -> Owner:
        owner = self._service.owners.get(read_id("User", account))
        if owner is None:
            raise GraphQLError(f"user not found: {account}")
        return owner

    def _subscription(self, number: str) -> Subscription:
        held = self._service.subscriptions.get(read_id("ProductSubscription", number))
        if held is None:
            raise GraphQLError("product subscription not found")
        return held

    def _log(self, act: str, what: str, **data: Any) -> None:
        self._service.world.log.effect("licensing", act, what, **data)


class _Root:
    def __init__(self, service: Licensing) -> None:
        self._service = service
        self.dotcom = _Dotcom(service)

    def user(self, _info: object, username: str | None = None, email: str | None = None) -> _OwnerView | None:
        for owner in self._service.owners.values():
            if (username or "").lower() == owner.username.lower() or (email and email.lower() == owner.email.lower()):
                return _OwnerView(owner)
        return None

    def createUser(
        self, _info: object, username: str, email: str | None = None, verifiedEmail: bool | None = None
    ) -> dict[str, _OwnerView | None]:
        owner = self._service.add_owner(username, email or "")
        self._service.world.log.effect("licensing", "user.created", username, username=username)
        return {"user": _OwnerView(owner), "resetPasswordURL": None}


def create_licensing_app(world: World) -> Starlette:
    """The stand-in as an ASGI application, registered as ``licensing`` in ``world.services``."""
    service = Licensing(world)
    world.services["licensing"] = service
    world.resets.append(service.reset)
    schema = load_schema("licensing")

    async def graphql(request: Request) -> Response:
        return refuse(request, service.token) or await serve(request, schema, _Root(service))

    async def listing(request: Request) -> Response:
        """Every licence, for the page: control side."""
        return JSONResponse(
            [
                {
                    "uuid": held.uuid,
                    "account": service.owner_of(held).username,
                    "tags": list(made.info.tags),
                    "users": made.info.user_count,
                    "expires_at": rfc3339(datetime.fromtimestamp(made.info.expires_at, UTC)),
                    "revoked": made.revoked_at is not None,
                }
                for made in service.licenses.values()
                for held in [service.subscription_of(made)]
            ]
        )

    return Starlette(routes=[Route("/.api/graphql", graphql, methods=["POST"]), Route("/_control", listing)])
