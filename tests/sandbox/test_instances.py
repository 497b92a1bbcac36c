"""Customer instances and the licensing API, asked in GraphQL over HTTP."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    is_required_argument,
    is_specified_scalar_type,
)

from sandbox.core import World
from sandbox.graphql_api import LicenseInfo, decode_license, encode_license, load_schema
from sandbox.instance_store import parse_jsonc
from sandbox.instances import TOKEN, Instances
from sandbox.licensing import TOKEN as LICENSING_TOKEN
from sandbox.server import SandboxServer

CONTRACT = Path(__file__).parents[3] / "shared" / "contracts" / "sourcegraph.graphql.gz"
HOST = "acme.sandbox.example"


HTTP = httpx.Client(verify=False)  # plain HTTP on the loopback: reading certificates would be most of a request's time


@pytest.fixture(scope="module", autouse=True)
def _close() -> Iterator[None]:
    yield
    HTTP.close()


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with SandboxServer() as running:
        yield running


@pytest.fixture
def sandbox(server: SandboxServer) -> SandboxServer:
    server.world.reset()
    return server


@pytest.fixture
def instances(sandbox: SandboxServer) -> Instances:
    service: Instances = sandbox.world.services["instances"]
    service.create(HOST, "trial")
    return service


class Api:
    """One GraphQL endpoint: ``api(document, **variables)`` is the answer's data; an error is an AssertionError."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.headers = {"Authorization": f"token {token}"}

    def raw(self, document: str, **variables: Any) -> dict[str, Any]:
        answer = HTTP.post(self.url, headers=self.headers, json={"query": document, "variables": variables})
        assert answer.status_code == 200
        body: dict[str, Any] = answer.json()
        return body

    def __call__(self, document: str, **variables: Any) -> dict[str, Any]:
        body = self.raw(document, **variables)
        assert "errors" not in body, body["errors"]
        data: dict[str, Any] = body["data"]
        return data

    def error(self, document: str, **variables: Any) -> str:
        return str(self.raw(document, **variables)["errors"][0]["message"])


@pytest.fixture
def api(sandbox: SandboxServer, instances: Instances) -> Api:
    return Api(f"{sandbox.url}/instances/{HOST}/.api/graphql", TOKEN)


@pytest.fixture
def licensing(sandbox: SandboxServer) -> Api:
    return Api(f"{sandbox.url}/licensing/.api/graphql", LICENSING_TOKEN)


def acts(sandbox: SandboxServer) -> list[str]:
    return [effect.act for effect in sandbox.world.log.effects]


CREATE = """mutation ($name: String!, $email: String, $verified: Boolean) {
  createUser(username: $name, email: $email, verifiedEmail: $verified) { user { id username } resetPasswordURL } }"""
RANDOMIZE = "mutation ($user: ID!) { randomizeUserPassword(user: $user) { resetPasswordURL emailSent } }"
BY_EMAIL = "query ($email: String) { user(email: $email) { id username siteAdmin } }"
BY_NAME = "query ($name: String) { user(username: $name) { id } }"
CONFIG = "{ site { configuration { id effectiveContents } } }"
CONFIGURE = "mutation ($last: Int!, $input: String!) { updateSiteConfiguration(lastID: $last, input: $input) }"


class TestWays:
    def test_an_unknown_host_answers_as_an_ingress_would(self, sandbox: SandboxServer) -> None:
        answer = HTTP.post(f"{sandbox.url}/instances/nobody.example/.api/graphql", json={"query": "{ site { id } }"})
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("text/html")

    @pytest.mark.parametrize("header", [{}, {"Authorization": "token wrong"}, {"Authorization": f"Bearer {TOKEN}"}])
    def test_a_bad_token_is_401_in_text(self, api: Api, header: dict[str, str]) -> None:
        answer = HTTP.post(api.url, headers=header, json={"query": "{ site { id } }"})
        assert answer.status_code == 401
        assert answer.headers["content-type"].startswith("text/plain")

    def test_an_unknown_field_is_an_error_in_a_200(self, api: Api) -> None:
        assert "Cannot query field 'nothing'" in api.error("{ nothing }")

    def test_what_is_no_graphql_is_400(self, api: Api) -> None:
        assert HTTP.post(api.url, headers=api.headers, content=b"hello").status_code == 400

    def test_the_document_is_checked_against_the_variables(self, api: Api) -> None:
        assert "$name" in api.error(CREATE)


class TestUsers:
    def test_a_user_is_made_with_a_link_and_found_by_verified_email(self, sandbox: SandboxServer, api: Api) -> None:
        made = api(CREATE, name="admin", email="admin@acme.example")["createUser"]
        assert HTTP.get(made["resetPasswordURL"]).status_code == 200
        assert api(BY_EMAIL, email="Admin@acme.example")["user"] == {"id": made["user"]["id"], "username": "admin", "siteAdmin": False}
        assert acts(sandbox) == ["user.created"]

    def test_an_unverified_email_finds_nobody_but_the_name_does(self, api: Api) -> None:
        made = api(CREATE, name="admin", email="admin@acme.example", verified=False)["createUser"]
        assert api(BY_EMAIL, email="admin@acme.example") == {"user": None}
        assert api(BY_NAME, name="admin") == {"user": {"id": made["user"]["id"]}}

    def test_a_taken_name_is_an_error_in_a_200_and_no_effect(self, sandbox: SandboxServer, api: Api) -> None:
        api(CREATE, name="admin", email="admin@acme.example")
        assert "username already exists" in api.error(CREATE, name="ADMIN", email="other@acme.example")
        assert "email already exists" in api.error(CREATE, name="second", email="admin@acme.example")
        assert "invalid username" in api.error(CREATE, name="no spaces")
        assert acts(sandbox) == ["user.created"]

    def test_a_new_link_kills_the_one_before(self, sandbox: SandboxServer, api: Api) -> None:
        made = api(CREATE, name="admin", email="admin@acme.example")["createUser"]
        fresh = api(RANDOMIZE, user=made["user"]["id"])["randomizeUserPassword"]
        assert fresh["emailSent"] is False
        assert HTTP.get(made["resetPasswordURL"]).status_code == 401
        assert HTTP.get(fresh["resetPasswordURL"]).status_code == 200
        assert acts(sandbox) == ["user.created", "password.randomized"]

    def test_without_builtin_auth_there_is_no_link(self, instances: Instances, api: Api) -> None:
        instances.seed({"builtin_auth": False})
        assert api(CREATE, name="admin", email="admin@acme.example")["createUser"]["resetPasswordURL"] is None

    def test_a_site_admin(self, api: Api) -> None:
        user = api(CREATE, name="admin", email="admin@acme.example")["createUser"]["user"]["id"]
        api("mutation ($user: ID!) { setUserIsSiteAdmin(userID: $user, siteAdmin: true) { alwaysNil } }", user=user)
        assert api(BY_EMAIL, email="admin@acme.example")["user"]["siteAdmin"] is True

    def test_an_id_that_is_none_or_nobodys(self, api: Api) -> None:
        assert "invalid ID" in api.error(RANDOMIZE, user="???")
        assert "user not found" in api.error(RANDOMIZE, user="VXNlcjo5OQ==")

    def test_the_pages_for_people(self, sandbox: SandboxServer, instances: Instances) -> None:
        base = f"{sandbox.url}/instances"
        assert HOST in HTTP.get(f"{base}/{HOST}/sign-in").text
        assert HTTP.get(f"{base}/{HOST}/password-reset?userID=1&code=").status_code == 401
        assert HTTP.get(f"{base}/nobody.example/sign-in").status_code == 404


class TestUsage:
    def test_an_untouched_instance_shows_nothing(self, api: Api) -> None:
        data = api(
            """{ site { needsRepositoryConfiguration usageStatistics(days: 3, weeks: 1, months: 1) {
                 daus { userCount } waus { userCount } maus { userCount } } users { totalCount } }
               externalServices(first: 1) { totalCount } users(first: 0) { totalCount nodes { id } } }"""
        )
        assert data["site"]["usageStatistics"] == {
            "daus": [{"userCount": 0}] * 3,
            "waus": [{"userCount": 0}],
            "maus": [{"userCount": 0}],
        }
        assert data["externalServices"]["totalCount"] == 0
        assert data["users"] == {"totalCount": 0, "nodes": []}
        assert data["site"]["needsRepositoryConfiguration"] is True

    def test_usage_is_set_from_the_control_side(self, sandbox: SandboxServer, api: Api) -> None:
        active = datetime.now(UTC) - timedelta(days=1)
        said = {
            "code_hosts": 1,
            "sso": True,
            "daus": [2, 5, 0],
            "users": [
                {"username": "admin", "email": "admin@acme.example", "searches": 12, "result_views": 3, "last_active": active.isoformat()},
                {"username": "second", "email": "second@acme.example"},
            ],
        }
        answer = HTTP.post(f"{sandbox.url}/instances/_control/{HOST}", json=said)
        assert [user["username"] for user in answer.json()["users"]] == ["admin", "second"]
        data = api(
            """{ externalServices { totalCount nodes { kind } }
                 users(first: 10) { totalCount nodes { username emails { email verified }
                   usageStatistics { searchQueries pageViews codeIntelligenceActions lastActiveTime } } }
                 site { authProviders { nodes { serviceType } } externalServicesCounts { remoteExternalServicesCount }
                   users { nodes(limit: 1) { username email lastActiveAt eventsCount siteAdmin } }
                   usageStatistics(days: 4) { daus { startTime userCount registeredUserCount } maus { userCount } } } }"""
        )
        assert data["externalServices"] == {"totalCount": 1, "nodes": [{"kind": "GITHUB"}]}
        assert data["site"]["externalServicesCounts"] == {"remoteExternalServicesCount": 1}
        assert [p["serviceType"] for p in data["site"]["authProviders"]["nodes"]] == ["builtin", "saml"]
        admin = data["users"]["nodes"][0]
        assert admin["emails"] == [{"email": "admin@acme.example", "verified": True}]
        assert admin["usageStatistics"] == {
            "searchQueries": 12,
            "pageViews": 3,
            "codeIntelligenceActions": 0,
            "lastActiveTime": active.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        assert data["site"]["users"]["nodes"] == [
            {
                "username": "admin",
                "email": "admin@acme.example",
                "lastActiveAt": active.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "eventsCount": 15.0,
                "siteAdmin": False,
            }
        ]
        days = data["site"]["usageStatistics"]["daus"]
        assert [day["userCount"] for day in days] == [2, 5, 0, 0], "newest first"
        assert days[0]["startTime"] > days[1]["startTime"]
        assert max(month["userCount"] for month in data["site"]["usageStatistics"]["maus"]) == 5
        assert acts(sandbox) == [], "what the control side sets is nobody's effect"

    def test_a_user_counts_on_the_day_of_the_last_activity(self, instances: Instances, api: Api) -> None:
        instances.set_usage(HOST, users=[{"username": "a", "last_active": datetime.now(UTC)}])
        stats = api(
            "{ site { usageStatistics(days: 1, weeks: 1, months: 1) { daus { userCount } waus { userCount } maus { userCount } } } }"
        )
        assert [values[0]["userCount"] for values in stats["site"]["usageStatistics"].values()] == [1, 1, 1]

    def test_weeks_may_be_said_outright(self, instances: Instances, api: Api) -> None:
        instances.set_usage(HOST, daus=[1], waus=[9, 8], maus=[20])
        stats = api("{ site { usageStatistics(weeks: 3, months: 2) { waus { userCount } maus { userCount } } } }")["site"][
            "usageStatistics"
        ]
        assert [week["userCount"] for week in stats["waus"]] == [9, 8, 0]
        assert [month["userCount"] for month in stats["maus"]] == [20, 0]

    def test_usage_of_an_unknown_host_creates_nothing(self, sandbox: SandboxServer, instances: Instances) -> None:
        assert HTTP.post(f"{sandbox.url}/instances/_control/nobody.example", json={"code_hosts": 1}).status_code == 404
        assert HTTP.post(f"{sandbox.url}/instances/_control/{HOST}", json={"no_such": 1}).status_code == 400
        assert [each["host"] for each in HTTP.get(f"{sandbox.url}/instances/_control").json()] == [HOST]


class TestConfiguration:
    def test_a_licence_key_is_set_under_the_optimistic_lock(self, sandbox: SandboxServer, api: Api) -> None:
        expires = int(time.time()) + 86400 * 45
        key = encode_license(LicenseInfo(("trial", "customer:acme"), 1000, expires), "n1")
        before = api(CONFIG)["site"]["configuration"]
        text = f'{{\n  // set by the trial\n  "licenseKey": "{key}",\n  "externalURL": "https://{HOST}",\n}}'
        assert api(CONFIGURE, last=before["id"], input=text) == {"updateSiteConfiguration": False}
        after = api(CONFIG)["site"]["configuration"]
        assert after == {"id": before["id"] + 1, "effectiveContents": text}
        held = api("{ site { productSubscription { maximumAllowedUserCount license { tags userCount expiresAt } } } }")
        assert held["site"]["productSubscription"] == {
            "maximumAllowedUserCount": 1000,
            "license": {
                "tags": ["trial", "customer:acme"],
                "userCount": 1000,
                "expiresAt": datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
        }
        assert api.error(CONFIGURE, last=before["id"], input="{}") == "someone else has already applied a newer edit"
        assert acts(sandbox) == ["config.updated"]
        assert key not in str(sandbox.world.log.effects)

    def test_what_is_no_configuration_is_refused(self, api: Api) -> None:
        assert "blank" in api.error(CONFIGURE, last=1, input=" ")
        assert "parse" in api.error(CONFIGURE, last=1, input="[]")
        assert api(CONFIG)["site"]["configuration"]["id"] == 1

    def test_without_a_valid_key_there_is_no_licence(self, api: Api) -> None:
        api(CONFIGURE, last=1, input='{"licenseKey": "forged"}')
        assert api("{ site { productSubscription { license { tags } } } }")["site"]["productSubscription"] == {"license": None}

    def test_comments_and_commas_in_strings_stay(self) -> None:
        assert parse_jsonc('{"a": "http://x,}", /* b */ "c": [1, 2,],}') == {"a": "http://x,}", "c": [1, 2]}


class TestLifecycle:
    def test_a_renamed_instance_keeps_its_users(self, sandbox: SandboxServer, instances: Instances, api: Api) -> None:
        api(CREATE, name="admin", email="admin@acme.example")
        instances.create("taken.sandbox.example")
        with pytest.raises(ValueError, match="there is an instance"):
            instances.rename(HOST, "taken.sandbox.example")
        instances.rename(HOST, "New.sandbox.example")
        moved = Api(f"{sandbox.url}/instances/new.sandbox.example/.api/graphql", TOKEN)
        assert moved(BY_NAME, name="admin")["user"] is not None
        assert HTTP.post(api.url, headers=api.headers, json={"query": CONFIG}).status_code == 404

    def test_a_deleted_instance_is_gone(self, instances: Instances, api: Api) -> None:
        instances.delete(HOST)
        assert HTTP.post(api.url, headers=api.headers, json={"query": CONFIG}).status_code == 404
        with pytest.raises(ValueError, match="there is an instance"):
            [instances.create(HOST), instances.create(HOST)]


OWNER = "query ($name: String) { user(username: $name) { id } }"
SUBSCRIBE = "mutation ($account: ID!) { dotcom { createProductSubscription(accountID: $account) { id uuid } } }"
GENERATE = """mutation ($subscription: ID!, $license: ProductLicenseInput!) { dotcom {
  generateProductLicenseForSubscription(productSubscriptionID: $subscription, license: $license) { id licenseKey } } }"""
LICENSES = """query ($subscription: ID, $part: String) { dotcom {
  productLicenses(first: 10, productSubscriptionID: $subscription, licenseKeySubstring: $part) {
    totalCount nodes { id licenseKey revokedAt info { tags userCount expiresAt } createdAt subscription { id } } } } }"""


class TestLicensing:
    def test_every_call_makes_a_new_object(self, sandbox: SandboxServer, licensing: Api) -> None:
        account = licensing(OWNER, name="tenure-trials")["user"]["id"]
        first, second = (licensing(SUBSCRIBE, account=account)["dotcom"]["createProductSubscription"] for _ in range(2))
        assert first["id"] != second["id"]
        asked = {"tags": ["trial", "customer:acme"], "userCount": 1000, "expiresAt": int(time.time()) + 3600}
        made = [
            licensing(GENERATE, subscription=first["id"], license=asked)["dotcom"]["generateProductLicenseForSubscription"]
            for _ in range(2)
        ]
        assert made[0]["licenseKey"] != made[1]["licenseKey"]
        listed = licensing(LICENSES, subscription=first["id"])["dotcom"]["productLicenses"]
        assert [node["id"] for node in listed["nodes"]] == [made[1]["id"], made[0]["id"]], "newest first"
        assert listed["nodes"][0]["info"]["tags"] == ["trial", "customer:acme"]
        assert listed["nodes"][0]["subscription"] == {"id": first["id"]}
        assert licensing(LICENSES, part=made[0]["licenseKey"][10:50])["dotcom"]["productLicenses"]["totalCount"] == 1
        assert acts(sandbox) == ["subscription.created"] * 2 + ["license.created"] * 2

    def test_subscriptions_are_listed_by_account_and_uuid(self, licensing: Api) -> None:
        account = licensing(OWNER, name="tenure-trials")["user"]["id"]
        other = licensing('mutation { createUser(username: "other") { user { id } } }')["createUser"]["user"]["id"]
        made = licensing(SUBSCRIBE, account=account)["dotcom"]["createProductSubscription"]
        licensing(SUBSCRIBE, account=other)
        document = "query ($account: ID) { dotcom { productSubscriptions(first: 9, account: $account) { nodes { uuid isArchived } } } }"
        assert licensing(document, account=account)["dotcom"]["productSubscriptions"]["nodes"] == [
            {"uuid": made["uuid"], "isArchived": False}
        ]
        licensing("mutation ($id: ID!) { dotcom { archiveProductSubscription(id: $id) { alwaysNil } } }", id=made["id"])
        found = licensing(
            "query ($uuid: String!) { dotcom { productSubscription(uuid: $uuid) { id isArchived account { username } } } }",
            uuid=made["uuid"],
        )
        assert found["dotcom"]["productSubscription"] == {"id": made["id"], "isArchived": True, "account": {"username": "tenure-trials"}}

    def test_a_revoked_licence_is_not_active(self, sandbox: SandboxServer, licensing: Api) -> None:
        account = licensing(OWNER, name="tenure-trials")["user"]["id"]
        held = licensing(SUBSCRIBE, account=account)["dotcom"]["createProductSubscription"]
        asked = {"tags": [], "userCount": 5, "expiresAt": int(time.time()) + 3600}
        made = licensing(GENERATE, subscription=held["id"], license=asked)["dotcom"]["generateProductLicenseForSubscription"]
        revoke = 'mutation ($id: ID!) { dotcom { revokeLicense(id: $id, reason: "over") { alwaysNil } } }'
        licensing(revoke, id=made["id"])
        assert "already revoked" in licensing.error(revoke, id=made["id"])
        node = licensing(LICENSES)["dotcom"]["productLicenses"]["nodes"][0]
        assert node["revokedAt"] is not None
        active = "query ($uuid: String!) { dotcom { productSubscription(uuid: $uuid) { activeLicense { id } } } }"
        assert licensing(active, uuid=held["uuid"])["dotcom"]["productSubscription"] == {"activeLicense": None}
        assert acts(sandbox)[-1] == "license.revoked"

    def test_errors_arrive_in_a_200_and_a_bad_token_does_not(self, sandbox: SandboxServer, licensing: Api) -> None:
        assert "invalid ID" in licensing.error(SUBSCRIBE, account="nonsense")
        assert "not found" in licensing.error('{ dotcom { productSubscription(uuid: "none") { id } } }')
        assert "err_username_exists" in licensing.error('mutation { createUser(username: "tenure-trials") { user { id } } }')
        wrong = HTTP.post(licensing.url, headers={"Authorization": "token wrong"}, json={"query": "{ dotcom { __typename } }"})
        assert wrong.status_code == 401
        assert acts(sandbox) == []

    def test_a_key_says_what_it_holds_and_cannot_be_altered(self) -> None:
        info = LicenseInfo(("trial",), 10, 2_000_000_000, {"salesforceOpportunityID": "006"})
        key = encode_license(info, "n")
        assert decode_license(key) == info
        assert decode_license(encode_license(info, "m")) == info
        assert encode_license(info, "m") != key
        middle = len(key) // 2
        assert decode_license(key[:middle] + ("A" if key[middle] != "A" else "B") + key[middle + 1 :]) is None
        assert decode_license("nonsense") is None


@pytest.mark.parametrize("name", ["instance", "licensing"])
def test_the_schema_is_part_of_the_published_one(name: str) -> None:
    if not CONTRACT.exists():
        pytest.skip(f"{CONTRACT} is not here")
    real = build_schema(gzip.decompress(CONTRACT.read_bytes()).decode(), assume_valid=True)
    assert list(differences(load_schema(name), real)) == []


def differences(ours: GraphQLSchema, real: GraphQLSchema) -> Iterator[str]:
    """Whatever of ``ours`` a client could ask for that ``real`` would not accept, or would answer with another type."""
    for kind in ours.type_map.values():
        if kind.name.startswith("__") or is_specified_scalar_type(kind):
            continue
        theirs = real.type_map.get(kind.name)
        if theirs is None or type(theirs) is not type(kind):
            yield f"{kind.name} is unknown"
        elif isinstance(kind, GraphQLObjectType) and isinstance(theirs, GraphQLObjectType):
            for name, field in kind.fields.items():
                other = theirs.fields.get(name)
                if other is None or str(other.type) != str(field.type):
                    yield f"{kind.name}.{name}: {field.type}, really {other.type if other else 'absent'}"
                    continue
                for argument, held in field.args.items():
                    if argument not in other.args or str(other.args[argument].type) != str(held.type):
                        yield f"{kind.name}.{name}({argument})"
                for argument, held in other.args.items():
                    if is_required_argument(held) and argument not in field.args:
                        yield f"{kind.name}.{name} lacks ({argument})"
        elif isinstance(kind, GraphQLInputObjectType) and isinstance(theirs, GraphQLInputObjectType):
            for name, value in kind.fields.items():
                if name not in theirs.fields or str(theirs.fields[name].type) != str(value.type):
                    yield f"{kind.name}.{name}"
        elif isinstance(kind, GraphQLEnumType) and isinstance(theirs, GraphQLEnumType):
            yield from (f"{kind.name}.{value}" for value in set(kind.values) - set(theirs.values))


def test_a_reset_leaves_nothing(sandbox: SandboxServer, instances: Instances) -> None:
    world: World = sandbox.world
    world.services["instances"].seed({"token": "other", "instances": [{"host": "a.example", "kind": "production", "code_hosts": 2}]})
    assert world.services["instances"].get("A.example").code_hosts == 2
    world.reset()
    assert world.services["instances"].all() == []
    assert world.services["instances"].token == TOKEN
