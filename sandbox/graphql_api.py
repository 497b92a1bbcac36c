"""What the GraphQL stand-ins share: a schema from a ``.graphql`` file, the endpoint, the token, the ids, a licence key.

As on the real product an error of an operation arrives with HTTP 200 in ``errors``; only a bad token (401, text) and a request that
is no GraphQL at all (400) are told by the status.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from graphql import GraphQLError, GraphQLSchema, build_schema, graphql_sync
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

T = TypeVar("T")

_KEY_SECRET = b"sandbox-license-signing-key"


def load_schema(name: str) -> GraphQLSchema:
    """The schema in ``sandbox/NAME.graphql``."""
    return build_schema(Path(__file__).with_name(f"{name}.graphql").read_text())


def refuse(request: Request, token: str) -> Response | None:
    """The 401 for a request without the valid ``Authorization: token ...``, None for one that has it."""
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "token" and hmac.compare_digest(given.strip(), token):
        return None
    if not given:
        return PlainTextResponse("Private mode requires authentication.\n", 401)
    return PlainTextResponse("Invalid access token.\n", 401)


async def serve(request: Request, schema: GraphQLSchema, root: object) -> Response:
    """Execute the request's operation; ``root`` resolves the top fields of queries and mutations by attribute."""
    try:
        body = json.loads(await request.body())
        source = body["query"]
        if not isinstance(source, str):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        return PlainTextResponse("Request body is not a GraphQL request.\n", 400)
    result = graphql_sync(schema, source, root, variable_values=body.get("variables"), operation_name=body.get("operationName"))
    answer: dict[str, Any] = {}
    if result.errors:
        answer["errors"] = [error.formatted for error in result.errors]
    if result.data is not None or not result.errors:
        answer["data"] = result.data
    return JSONResponse(answer)


def global_id(kind: str, number: int) -> str:
    """An opaque id: base64 of ``Kind:number``, as the product makes them."""
    return base64.b64encode(f"{kind}:{number}".encode()).decode()


def read_id(kind: str, value: str) -> int:
    """The number inside an id. GraphQLError when it is not an id of that kind."""
    try:
        found, _, number = base64.b64decode(value, validate=True).decode().partition(":")
        if found == kind:
            return int(number)
    except (binascii.Error, ValueError):
        pass
    raise GraphQLError(f"invalid ID for {kind}: {value!r}")


def rfc3339(moment: datetime | None) -> str | None:
    """``2026-01-31T12:00:00Z``, or None."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


@dataclass(frozen=True)
class PageInfo:
    """Whether more follows."""

    hasNextPage: bool
    endCursor: str | None = None


class Connection(Generic[T]):
    """The first ``first`` of ``items`` (all when None), with the count of all."""

    def __init__(self, items: Sequence[T], first: int | None = None) -> None:
        self.totalCount = len(items)
        self.nodes = list(items if first is None else items[: max(first, 0)])
        self.pageInfo = PageInfo(len(self.nodes) < len(items))


@dataclass(frozen=True)
class LicenseInfo:
    """What a licence key says. ``expires_at`` is in seconds since the epoch."""

    tags: tuple[str, ...]
    user_count: int
    expires_at: int
    extra: dict[str, str] = field(default_factory=dict)


def encode_license(info: LicenseInfo, nonce: str) -> str:
    """An opaque signed key; ``nonce`` makes two keys of equal content differ, as real ones do."""
    said = {"v": 2, "t": list(info.tags), "u": info.user_count, "e": info.expires_at, "n": nonce, "x": info.extra}
    body = json.dumps(said, separators=(",", ":")).encode()
    sealed = {"sig": hmac.new(_KEY_SECRET, body, hashlib.sha256).hexdigest(), "info": base64.b64encode(body).decode()}
    return base64.urlsafe_b64encode(json.dumps(sealed, separators=(",", ":")).encode()).decode().rstrip("=")


def decode_license(key: str) -> LicenseInfo | None:
    """What ``key`` says, None when it is not one of ours or was altered."""
    try:
        sealed = json.loads(base64.urlsafe_b64decode(key + "=" * (-len(key) % 4)))
        body = base64.b64decode(sealed["info"])
        if not hmac.compare_digest(hmac.new(_KEY_SECRET, body, hashlib.sha256).hexdigest(), sealed["sig"]):
            return None
        said = json.loads(body)
        return LicenseInfo(tuple(said["t"]), said["u"], said["e"], said["x"])
    except (ValueError, KeyError, TypeError, binascii.Error):
        return None


class LicenseInfoView:
    """A licence's content under the schema's names."""

    def __init__(self, info: LicenseInfo) -> None:
        self.productNameWithBrand = "Sourcegraph Enterprise" + (" (trial)" if {"trial", "plg-trial"} & set(info.tags) else "")
        self.tags = list(info.tags)
        self.userCount = info.user_count
        self.expiresAt = rfc3339(datetime.fromtimestamp(info.expires_at, UTC))
        self.salesforceSubscriptionID = info.extra.get("salesforceSubscriptionID")
        self.salesforceOpportunityID = info.extra.get("salesforceOpportunityID")
