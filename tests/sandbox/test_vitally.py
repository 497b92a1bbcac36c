"""The Vitally stand-in over plain HTTP, and what it answers against the provider's description."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.routing import Route

from sandbox.core import Fault, World
from sandbox.server import SandboxServer
from sandbox.vitally import KEY, Vitally, create_app
from sandbox.vitally_store import TEMPLATES, named_id
from tests.sandbox.contracts import contract, problems

Json = dict[str, Any]


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with SandboxServer() as running:
        yield running


@pytest.fixture
def sandbox(server: SandboxServer) -> SandboxServer:
    server.world.reset()
    return server


@pytest.fixture
def service(sandbox: SandboxServer) -> Vitally:
    vitally: Vitally = sandbox.world.services["vitally"]
    return vitally


@pytest.fixture(scope="module")
def http(server: SandboxServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server.url}/vitally/resources", auth=(KEY, ""), trust_env=False) as client:
        yield client


@pytest.fixture
def acme(sandbox: SandboxServer, http: httpx.Client) -> Json:
    return made(http, "accounts", externalId="acme.example", name="Acme", traits={"plan": "enterprise", "seats": 100})


def made(http: httpx.Client, kind: str, **body: Any) -> Json:
    answer = http.post(f"/{kind}", json=body)
    assert answer.status_code == 200, answer.text
    held: Json = answer.json()
    return held


def put(http: httpx.Client, path: str, **body: Any) -> Json:
    answer = http.put(path, json=body)
    assert answer.status_code == 200, answer.text
    held: Json = answer.json()
    return held


def refused(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    return str(answer.json()["error"])


def acts(sandbox: SandboxServer) -> list[str]:
    return [effect.act for effect in sandbox.world.log.effects]


def pages(http: httpx.Client, path: str, **params: Any) -> Iterator[list[Json]]:
    cursor: str | None = ""
    while cursor is not None:
        answer = http.get(path, params=params | ({"from": cursor} if cursor else {})).json()
        yield answer["results"]
        cursor = answer["next"]


def listed(http: httpx.Client, path: str, **params: Any) -> list[Json]:
    return [one for page in pages(http, path, **params) for one in page]


class TestAccess:
    @pytest.mark.parametrize("header", ["", "Bearer sandbox-vitally-key", "Basic !", "Basic d3Jvbmc6"])
    def test_without_the_key_nothing_is_given(self, sandbox: SandboxServer, header: str) -> None:
        answer = httpx.get(f"{sandbox.url}/vitally/resources/accounts", headers={"Authorization": header} if header else {})
        told = refused(answer, 401)
        assert (told == "Authorization header not present.") is (header == "")
        assert answer.headers["RateLimit-Remaining"] == "100000"

    def test_every_answer_says_what_is_left(self, sandbox: SandboxServer, service: Vitally, http: httpx.Client) -> None:
        service.seed({"limit_per_minute": 3})
        answers = [http.get(path) for path in ("/accounts", "/accounts/nobody", "/nothing", "/admins", "/accounts")]
        assert [answer.status_code for answer in answers] == [200, 404, 404, 200, 429]
        assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["2", "1", "1", "0", "0"]
        assert {answer.headers["RateLimit-Limit"] for answer in answers} == {"3, 3;window=60"}
        assert all(0 < int(answer.headers["RateLimit-Reset"]) <= 60 for answer in answers)
        assert "Retry-After" not in answers[-1].headers
        assert answers[-1].json() == {"error": "Too Many Requests"}

    def test_the_window_slides(self, service: Vitally, http: httpx.Client) -> None:
        clock = [1000.0]
        service.seed({"limit_per_minute": 2})
        service.budget.clock, before = lambda: clock[0], service.budget.clock
        try:
            http.get("/accounts")
            clock[0] += 40
            assert http.get("/accounts").headers["RateLimit-Reset"] == "20"
            clock[0] += 19.5
            assert http.get("/accounts").status_code == 429
            clock[0] += 0.6
            assert [http.get("/accounts").status_code for _ in range(2)] == [200, 429]
        finally:
            service.budget.clock = before

    def test_a_planned_limit_has_the_same_form(self, sandbox: SandboxServer, http: httpx.Client) -> None:
        sandbox.world.faults.append(Fault("vitally", "rate_limit", retry_after=7))
        answer = http.get("/accounts")
        assert refused(answer, 429) == "Too Many Requests"
        assert (answer.headers["RateLimit-Reset"], answer.headers["RateLimit-Remaining"]) == ("7", "0")
        assert "Retry-After" not in answer.headers

    @pytest.mark.parametrize("path", ["/unknown", "/accounts/acme.example/unknown", "/projectStatuses"])
    def test_what_is_not_there(self, acme: Json, http: httpx.Client, path: str) -> None:
        assert refused(http.get(path), 404) == "Not Found"

    def test_what_cannot_be_done(self, sandbox: SandboxServer, http: httpx.Client) -> None:
        assert refused(http.post("/admins", json={}), 405) == "Method Not Allowed"

    @pytest.mark.parametrize("body", [b"{", b"[]", b""])
    def test_a_body_is_a_json_object(self, sandbox: SandboxServer, http: httpx.Client, body: bytes) -> None:
        assert "JSON" in refused(http.post("/accounts", content=body), 400)


class TestAccounts:
    def test_made_found_changed_and_gone(self, sandbox: SandboxServer, acme: Json, http: httpx.Client, service: Vitally) -> None:
        assert (
            http.get(f"/accounts/{acme['id']}").json()
            == acme
            == http.get("/accounts/acme.example").json()
            == service.account("acme.example")
        )
        changed = put(http, "/accounts/acme.example", name="Acme Inc")
        assert (changed["name"], changed["traits"], changed["createdAt"]) == ("Acme Inc", acme["traits"], acme["createdAt"])
        assert http.delete(f"/accounts/{acme['id']}").status_code == 204
        assert refused(http.get("/accounts/acme.example"), 404).startswith("Account not found")
        assert acts(sandbox) == ["account.created", "account.updated", "account.deleted"]

    def test_traits_merge_and_null_deletes(self, sandbox: SandboxServer, acme: Json, http: httpx.Client) -> None:
        written = put(http, "/accounts/acme.example", traits={"plan": None, "Health - Score": 7.5, "absent": None})
        assert written["traits"] == {"seats": 100, "Health - Score": 7.5}
        last = sandbox.world.log.effects[-1]
        assert last.data["changes"] == {"traits": {"plan": None, "Health - Score": 7.5}}
        assert last.what == "Account Acme: traits.plan, traits.Health - Score changed"

    def test_a_post_with_a_known_external_id_changes_that_account(self, sandbox: SandboxServer, acme: Json, http: httpx.Client) -> None:
        again = made(http, "accounts", externalId="acme.example", name="Acme", traits={"seats": 120})
        assert (again["id"], again["traits"]) == (acme["id"], {"plan": "enterprise", "seats": 120})
        assert acts(sandbox) == ["account.created", "account.updated"]

    def test_what_is_as_it_was_is_no_effect(self, sandbox: SandboxServer, acme: Json, http: httpx.Client) -> None:
        assert put(http, "/accounts/acme.example", name="Acme", traits={"seats": 100, "absent": None}) == acme
        assert made(http, "accounts", externalId="acme.example", name="Acme") == acme
        assert acts(sandbox) == ["account.created"]

    def test_some_traits_are_fields_too(self, acme: Json, http: httpx.Client) -> None:
        written = put(http, "/accounts/acme.example", traits={"mrr": 4000, "nextRenewalDate": "2030-06-01T00:00:00.000Z"})
        assert (written["mrr"], written["nextRenewalDate"]) == (4000, "2030-06-01T00:00:00.000Z")
        assert put(http, "/accounts/acme.example", traits={"mrr": None})["mrr"] is None

    def test_those_that_churned_are_left_out_unless_asked_for(self, acme: Json, http: httpx.Client) -> None:
        made(http, "accounts", externalId="gone.example", name="Gone", traits={"churnedAt": "2030-01-01T00:00:00.000Z"})
        seen = {
            status: [one["name"] for one in listed(http, "/accounts", status=status)] for status in ("active", "churned", "activeOrChurned")
        }
        assert seen == {"active": ["Acme"], "churned": ["Gone"], "activeOrChurned": ["Gone", "Acme"]}
        assert [one["name"] for one in listed(http, "/accounts")] == ["Acme"]
        assert "status must be" in refused(http.get("/accounts", params={"status": "all"}), 400)

    @pytest.mark.parametrize(
        ("body", "told"),
        [
            ({"name": "Acme"}, "externalId is required to create an Account"),
            ({"externalId": "x", "name": ""}, "name is required"),
            ({"externalId": "x", "name": "X", "traits": []}, "traits must be an object"),
            ({"externalId": "x", "name": 5}, "name must be a string"),
            (
                {"externalId": "x", "name": "X", "mrr": 5},
                "mrr cannot be set on an Account through the API; these can: accountOwnerId, externalId",
            ),
            ({"externalId": "x", "name": "X", "healthScore": 5}, "healthScore cannot be set"),
            ({"externalId": "x", "name": "X", "organizationId": "acme"}, "organizationId must be an id that Vitally assigned"),
            ({"externalId": "x", "name": "X", "accountOwnerId": "someone"}, "accountOwnerId can only be set to null"),
        ],
    )
    def test_a_body_that_will_not_do(self, sandbox: SandboxServer, http: httpx.Client, body: Json, told: str) -> None:
        assert told in refused(http.post("/accounts", json=body), 400)
        assert acts(sandbox) == []

    def test_an_external_id_is_for_good(self, acme: Json, http: httpx.Client) -> None:
        assert "can only be set when an Account is created" in refused(http.put("/accounts/acme.example", json={"externalId": "new"}), 400)
        assert put(http, "/accounts/acme.example", externalId="acme.example") == acme

    def test_health_scores_are_what_a_seed_gave(self, service: Vitally, http: httpx.Client) -> None:
        service.seed({"accounts": [{"externalId": "acme.example", "name": "Acme", "healthScore": 7.5, "healthScores": {"Usage": 9}}]})
        assert http.get("/accounts/acme.example").json()["healthScore"] == 7.5
        found = http.get("/accounts/acme.example/healthScores").json()
        assert found == {"healthScore": 7.5, "healthScores": [{"name": "Usage", "score": 9}]}
        assert refused(http.get("/accounts/nobody/healthScores"), 404)

    def test_what_was_only_the_accounts_goes_with_it(self, acme: Json, http: httpx.Client, service: Vitally) -> None:
        other = made(http, "accounts", externalId="other.example", name="Other")
        for account in (acme, other):
            made(http, "notes", accountId=account["id"], note="n", noteDate="2030-01-01")
            made(http, "tasks", accountId=account["id"], name="t")
        only = made(http, "users", externalId="u1", accountIds=[acme["id"]])
        made(http, "users", externalId="u2", accountIds=[acme["id"], other["id"]])
        made(http, "npsResponses", userId=only["id"], score=9, respondedAt="2030-01-01")
        http.delete("/accounts/acme.example")
        assert [one["account"]["name"] for one in service.notes() + service.tasks()] == ["Other", "Other"]
        assert [one["externalId"] for one in listed(http, "/users")] == ["u2"]
        assert listed(http, "/npsResponses") == []
        # The externalId is free again.
        assert made(http, "accounts", externalId="acme.example", name="Acme")["id"] != acme["id"]


class TestLists:
    @pytest.fixture
    def many(self, service: Vitally) -> list[str]:
        names = [f"c{number:04}.example" for number in range(3000)]
        service.seed({"accounts": [{"externalId": name, "name": name, "traits": {"seats": 5}} for name in names]})
        return names

    def test_pages_are_of_a_hundred_newest_first_and_end_with_null(self, many: list[str], http: httpx.Client) -> None:
        found = list(pages(http, "/accounts", sortBy="createdAt"))
        assert [len(page) for page in found] == [100] * 30
        assert [one["externalId"] for page in found for one in page] == many[::-1]
        assert found[0][0]["traits"] == {"seats": 5}

    def test_by_creation_nothing_is_missed_while_things_change(self, many: list[str], http: httpx.Client) -> None:
        reading = pages(http, "/accounts", sortBy="createdAt")
        seen = next(reading)
        put(http, "/accounts/c0000.example", traits={"seats": 6})
        made(http, "accounts", externalId="new.example", name="New")
        seen += [one for page in reading for one in page]
        assert [one["externalId"] for one in seen] == many[::-1]

    def test_by_change_what_changes_meanwhile_is_missed(self, many: list[str], http: httpx.Client) -> None:
        reading = pages(http, "/accounts")
        seen = next(reading)
        put(http, "/accounts/c0000.example", traits={"seats": 6})
        seen += [one for page in reading for one in page]
        assert {one["externalId"] for one in seen} == set(many) - {"c0000.example"}
        assert http.get("/accounts", params={"limit": 1}).json()["results"][0]["externalId"] == "c0000.example"

    def test_the_last_page_may_be_full(self, many: list[str], http: httpx.Client) -> None:
        assert [len(page) for page in pages(http, "/accounts", limit=75)] == [75] * 40

    @pytest.mark.parametrize(
        "params", [{"limit": 101}, {"limit": 0}, {"limit": "ten"}, {"sortBy": "name"}, {"from": "?"}, {"from": "e30="}, {"from": "NQ=="}]
    )
    def test_a_page_that_cannot_be_had(self, acme: Json, http: httpx.Client, params: Json) -> None:
        refused(http.get("/accounts", params=params), 400)

    def test_a_cursor_is_of_one_order(self, many: list[str], http: httpx.Client) -> None:
        cursor = http.get("/accounts", params={"sortBy": "createdAt"}).json()["next"]
        assert "with the same sortBy" in refused(http.get("/accounts", params={"from": cursor}), 400)


class TestNotesAndTasks:
    def test_a_note_is_found_in_its_accounts_list_and_written_again(self, sandbox: SandboxServer, acme: Json, http: httpx.Client) -> None:
        other = made(http, "accounts", externalId="other.example", name="Other")
        body = {
            "accountId": acme["id"],
            "externalId": "renewal-acme/assessment",
            "subject": "Assessment",
            "noteDate": "2030-01-01T00:00:00Z",
        }
        note = made(http, "notes", **body, note="<p>first</p>", tags=["renewal"])
        made(http, "notes", accountId=other["id"], note="elsewhere", noteDate="2030-01-01")
        found = listed(http, f"/accounts/{acme['id']}/notes")
        assert [(one["externalId"], one["note"]) for one in found] == [("renewal-acme/assessment", "<p>first</p>")]
        assert found[0]["account"] == {"id": acme["id"], "externalId": "acme.example", "name": "Acme"}
        put(http, f"/notes/{note['id']}", note="<p>second</p>")
        assert made(http, "notes", **body, note="<p>third</p>")["id"] == note["id"]
        assert http.get(f"/notes/{note['id']}").json()["note"] == "<p>third</p>"
        assert acts(sandbox)[-3:] == ["note.created", "note.updated", "note.updated"]
        assert sandbox.world.log.effects[-1].data["account"] == "acme.example"

    def test_without_an_external_id_each_post_is_a_note(self, acme: Json, http: httpx.Client, service: Vitally) -> None:
        for _ in range(2):
            made(http, "notes", accountId=acme["id"], note="twice", noteDate="2030-01-01")
        assert [one["note"] for one in service.notes("acme.example")] == ["twice", "twice"]

    @pytest.mark.parametrize("kind", ["notes", "tasks"])
    def test_an_external_id_does_not_find_them(self, acme: Json, http: httpx.Client, kind: str) -> None:
        made(
            http,
            kind,
            accountId=acme["id"],
            externalId="mine",
            **({"name": "t"} if kind == "tasks" else {"note": "n", "noteDate": "2030-01-01"}),
        )
        assert "Vitally id mine" in refused(http.get(f"/{kind}/mine"), 404)
        assert refused(http.put(f"/{kind}/mine", json={"tags": []}), 404)

    def test_lists_of_an_account_take_vitallys_id_only(self, acme: Json, http: httpx.Client) -> None:
        assert "an externalId is not taken here" in refused(http.get("/accounts/acme.example/notes"), 404)

    def test_what_is_deleted_is_archived(self, sandbox: SandboxServer, acme: Json, http: httpx.Client) -> None:
        note = made(http, "notes", accountId=acme["id"], note="n", noteDate="2030-01-01")
        assert [http.delete(f"/notes/{note['id']}").status_code for _ in range(2)] == [204, 204]
        assert listed(http, "/notes") == []
        assert listed(http, f"/accounts/{acme['id']}/notes", archived="true")[0]["archivedAt"] is not None
        assert acts(sandbox)[1:] == ["note.created", "note.deleted"]

    def test_tags_are_replaced_and_traits_merged(self, acme: Json, http: httpx.Client) -> None:
        task = made(http, "tasks", accountId=acme["id"], name="t", tags=["a", "b"], traits={"x": 1, "y": 2})
        task = put(http, f"/tasks/{task['id']}", tags=["c"], traits={"x": None}, completedAt="2030-01-02T00:00:00Z")
        assert (task["tags"], task["traits"], task["completedAt"]) == (["c"], {"y": 2}, "2030-01-02T00:00:00Z")

    def test_a_task_is_made_once_by_its_external_id_and_assigned(self, sandbox: SandboxServer, acme: Json, http: httpx.Client) -> None:
        admin = next(one for one in listed(http, "/admins") if one["email"] == "ce-ada@tenure.example")
        body = {
            "accountId": acme["id"],
            "externalId": "update-1",
            "name": "Weekly update",
            "assignedToId": admin["id"],
            "dueDate": "2030-01-08",
        }
        assert made(http, "tasks", **body) == made(http, "tasks", **body)
        assert [one["assignedToId"] for one in listed(http, f"/accounts/{acme['id']}/tasks")] == [admin["id"]]
        assert acts(sandbox)[1:] == ["task.created"]

    @pytest.mark.parametrize(
        ("kind", "body", "told"),
        [
            ("notes", {"note": "n", "noteDate": "2030-01-01"}, "accountId or organizationId is required for a Note"),
            ("notes", {"note": "n", "accountId": "ACME"}, "noteDate is required"),
            ("notes", {"note": "n", "noteDate": "soon", "accountId": "ACME"}, "noteDate must be a date"),
            (
                "notes",
                {"note": "n", "noteDate": "2030-01-01", "accountId": "acme.example"},
                "accountId must be an id that Vitally assigned",
            ),
            ("tasks", {"accountId": "ACME"}, "name is required"),
            ("tasks", {"accountId": "ACME", "name": "t", "projects": []}, "projects cannot be set on a Task through the API"),
            ("tasks", {"accountId": "ACME", "name": "t", "assignedToId": "x"}, "no object of admins has x"),
            ("tasks", {"accountId": "ACME", "name": "t", "tags": "x"}, "tags must be an array"),
            ("tasks", {"accountId": "ACME", "name": "t", "categoryId": "x"}, "this workspace has none"),
        ],
    )
    def test_a_body_that_will_not_do(self, acme: Json, http: httpx.Client, kind: str, body: Json, told: str) -> None:
        given = {name: acme["id"] if value == "ACME" else value for name, value in body.items()}
        assert told in refused(http.post(f"/{kind}", json=given), 400)


class TestProjects:
    def test_from_a_template_found_again_and_completed(
        self, sandbox: SandboxServer, acme: Json, http: httpx.Client, service: Vitally
    ) -> None:
        templates = {one["name"]: one["id"] for one in listed(http, "/projectTemplates")}
        assert set(templates) == set(TEMPLATES)
        body = {"templateId": templates["Get Well Plan"], "accountId": acme["id"], "traits": {"vitally.custom.tenureKey": "get-well-acme"}}
        project = made(http, "projects", **body)
        assert (project["name"], project["organizationId"], project["durationInDays"]) == ("Get Well Plan", None, 0)
        found = listed(http, f"/accounts/{acme['id']}/projects")
        assert [one["traits"]["vitally.custom.tenureKey"] for one in found] == ["get-well-acme"]
        put(http, f"/projects/{project['id']}", projectStatusId=service.status_id("Completed"), name="Get well: usage is back")
        assert [(one["name"], one["template"], one["status"]) for one in service.projects("acme.example")] == [
            ("Get well: usage is back", "Get Well Plan", "Completed")
        ]
        assert acts(sandbox)[1:] == ["project.created", "project.updated"]

    def test_posting_twice_makes_two(self, acme: Json, http: httpx.Client, service: Vitally) -> None:
        for _ in range(2):
            made(http, "projects", templateId=service.template_id("Low Utilization"), accountId=acme["id"])
        assert [one["status"] for one in service.projects("acme.example")] == ["Not started", "Not started"]

    def test_it_is_of_one_account_or_one_organization(self, acme: Json, http: httpx.Client, service: Vitally) -> None:
        group = made(http, "organizations", externalId="group", name="Group")
        body = {"templateId": service.template_id("Low Utilization")}
        assert "is required for a Project" in refused(http.post("/projects", json=body), 400)
        both = body | {"accountId": acme["id"], "organizationId": group["id"]}
        assert "exactly one of" in refused(http.post("/projects", json=both), 400)
        project = made(http, "projects", **body, organizationId=group["id"])
        assert listed(http, f"/organizations/{group['id']}/projects") == [project]

    @pytest.mark.parametrize(
        ("body", "told"),
        [
            ({"name": "Of my own"}, "templateId is required to create a Project"),
            ({"templateId": "x"}, "templateId must be an id that Vitally assigned"),
            ({"templateId": "T", "projectStatusId": "Completed"}, "projectStatusId must be an id"),
            ({"templateId": "T", "actualCompletionDate": "2030-01-01"}, "actualCompletionDate cannot be set"),
            ({"templateId": "T", "externalId": "x"}, "externalId cannot be set"),
        ],
    )
    def test_a_body_that_will_not_do(self, acme: Json, http: httpx.Client, service: Vitally, body: Json, told: str) -> None:
        given = {name: service.template_id("Low Utilization") if value == "T" else value for name, value in body.items()}
        assert told in refused(http.post("/projects", json=given | {"accountId": acme["id"]}), 400)

    def test_a_template_brings_its_tasks(self, sandbox: SandboxServer, acme: Json, http: httpx.Client, service: Vitally) -> None:
        service.seed(
            {"templates": ["Plain", {"name": "With tasks", "projectName": "Rescue", "category": "Rescues", "tasks": ["Call", "Plan"]}]}
        )
        assert acts(sandbox) == ["account.created"]
        category = next(one for one in listed(http, "/projectCategories") if one["name"] == "Rescues")
        template = http.get("/projectTemplates", params={"categoryId": category["id"]}).json()["results"][0]
        assert http.get(f"/projectTemplates/{template['id']}").json() == template
        project = made(http, "projects", templateId=template["id"], accountId=acme["id"])
        assert (project["name"], project["projectCategoryId"]) == ("Rescue", category["id"])
        assert [(one["name"], one["projects"]) for one in service.tasks("acme.example")] == [
            ("Call", [{"id": project["id"], "name": "Rescue"}]),
            ("Plan", [{"id": project["id"], "name": "Rescue"}]),
        ]
        assert acts(sandbox)[1:] == ["project.created", "task.created", "task.created"]

    def test_ids_of_what_is_set_up_are_the_same_everywhere(self, service: Vitally) -> None:
        assert service.status_id("Completed") == named_id("projectStatuses", "Completed")
        with pytest.raises(KeyError, match="there is no 'Finished' among"):
            service.status_id("Finished")


class TestPeople:
    def test_answers_count_for_the_account(self, acme: Json, http: httpx.Client) -> None:
        for number, score in enumerate((10, 9, 3)):
            user = made(http, "users", externalId=f"u{number}", name="U", email="u@acme.example", accountIds=[acme["id"]])
            made(http, "npsResponses", externalId=f"n{number}", userId=user["id"], score=score, respondedAt="2030-01-01T00:00:00Z")
        made(http, "users", externalId="silent", accountIds=[acme["id"]])
        account = http.get("/accounts/acme.example").json()
        counts = [account[name] for name in ("usersCount", "npsDetractorCount", "npsPassiveCount", "npsPromoterCount", "npsScore")]
        assert counts == [4, 1, 0, 2, 33]
        assert len(listed(http, f"/accounts/{acme['id']}/users")) == 4
        assert len(listed(http, f"/accounts/{acme['id']}/npsResponses")) == 3
        made(http, "npsResponses", userId=http.get("/users/u2").json()["id"], score=8, respondedAt="2030-02-01T00:00:00Z")
        assert http.get("/users/u2").json()["npsLastScore"] == 8
        assert http.get("/accounts/acme.example").json()["npsScore"] == 67
        assert http.delete("/npsResponses/n0").status_code == 204
        assert http.get("/accounts/acme.example").json()["npsScore"] == 50

    def test_a_user_is_of_someone(self, acme: Json, http: httpx.Client) -> None:
        assert "accountIds or organizationIds is required" in refused(http.post("/users", json={"externalId": "u"}), 400)
        user = made(http, "users", externalId="u", accountIds=[acme["id"]])
        assert user["accounts"] == [{"id": acme["id"], "externalId": "acme.example", "name": "Acme"}]
        assert put(http, "/users/u", name="Una")["id"] == user["id"]

    def test_a_score_lies_between_0_and_10(self, acme: Json, http: httpx.Client) -> None:
        user = made(http, "users", externalId="u", accountIds=[acme["id"]])
        body = {"userId": user["id"], "respondedAt": "2030-01-01", "score": 11}
        assert "score must be a number from 0 to 10" in refused(http.post("/npsResponses", json=body), 400)

    def test_an_organization_has_accounts(self, acme: Json, http: httpx.Client) -> None:
        group = made(http, "organizations", externalId="group", name="Group", traits={"region": "EMEA"})
        put(http, "/accounts/acme.example", organizationId=group["id"])
        assert [one["name"] for one in listed(http, f"/organizations/{group['id']}/accounts")] == ["Acme"]
        assert put(http, "/organizations/group", traits={"tier": 1})["traits"] == {"region": "EMEA", "tier": 1}


class TestSeed:
    def test_accounts_join_or_change_and_nobody_is_told(self, sandbox: SandboxServer, acme: Json, service: Vitally) -> None:
        service.seed({"accounts": [{"externalId": "acme.example", "traits": {"seats": None}, "mrr": 10}, {"externalId": "new.example"}]})
        assert [(one["name"], one["traits"], one["mrr"]) for one in service.accounts()] == [
            ("Acme", {"plan": "enterprise"}, 10),
            ("new.example", {}, None),
        ]
        assert acts(sandbox) == ["account.created"]

    def test_a_replacing_one_forgets_every_customer(self, acme: Json, http: httpx.Client, service: Vitally) -> None:
        made(http, "tasks", accountId=acme["id"], name="t")
        service.seed({"accounts": [{"externalId": "new.example", "name": "New"}], "replace": True})
        assert [one["name"] for one in service.accounts()] == ["New"]
        assert (service.tasks(), service.account("acme.example")) == ([], None)
        assert len(listed(http, "/projectTemplates")) == len(TEMPLATES)

    @pytest.mark.parametrize(
        ("seed", "told"),
        [
            ({"customers": []}, "a seed of vitally has no ['customers']"),
            ({"accounts": [{"externalId": "x", "arr": 5}]}, "an account has no ['arr']"),
            ({"templates": [{"title": "x"}]}, "a template has no ['title']"),
            ({"limit_per_minute": 0}, "limit_per_minute must be a whole number"),
        ],
    )
    def test_one_that_makes_no_sense_says_why(self, sandbox: SandboxServer, service: Vitally, seed: Json, told: str) -> None:
        with pytest.raises(ValueError, match=re.escape(told)):
            service.seed(seed)

    def test_the_page_shows_the_latest(self, sandbox: SandboxServer, acme: Json, http: httpx.Client, service: Vitally) -> None:
        made(http, "projects", templateId=service.template_id("Low Utilization"), accountId=acme["id"])
        made(http, "notes", accountId=acme["id"], note="n", noteDate="2030-01-01", subject="Plan")
        view = httpx.get(f"{sandbox.url}/_sandbox/services/vitally").json()["view"]
        assert view["accounts"][0]["externalId"] == "acme.example"
        assert [(one["account"], one["template"]) for one in view["projects"]] == [("Acme", "Low Utilization")]
        assert [(one["account"], one["subject"]) for one in view["notes"]] == [("Acme", "Plan")]
        assert view["workspace"]["accounts"] == 1


def test_answers_are_as_the_provider_describes_them(acme: Json, http: httpx.Client) -> None:
    api = contract("vitally")
    group = made(http, "organizations", externalId="group", name="Group")
    user = made(http, "users", externalId="u", name="U", email="u@acme.example", accountIds=[acme["id"]], organizationIds=[group["id"]])
    answered = {
        "accounts": acme,
        "organizations": group,
        "users": user,
        "tasks": made(http, "tasks", accountId=acme["id"], name="t", externalId="t-1"),
        "notes": made(http, "notes", accountId=acme["id"], note="n", noteDate="2030-01-01", externalId="n-1", subject="s"),
        "npsResponses": made(http, "npsResponses", userId=user["id"], score=9, respondedAt="2030-01-01", externalId="r-1"),
    }
    schemas = api["components"]["schemas"]
    for kind, one in answered.items():
        single = next(path for path in api["paths"] if re.fullmatch(rf"/{kind}/{{\w+}}", path))
        for path, answer in ((f"/{kind}", http.get(f"/{kind}")), (single, http.get(f"/{kind}/{one['id']}"))):
            schema = api["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
            assert problems(schema, answer.json(), schemas) == [], path
    assert problems(schemas["Error"], http.get("/accounts/nobody").json(), schemas, closed=True) == []


def test_what_the_provider_describes_is_served() -> None:
    described = {
        (method.upper(), re.sub(r"{\w+}", "{}", path))
        for path, methods in contract("vitally")["paths"].items()
        for method in methods
        if method != "parameters"
    }
    served = set()
    for route in create_app(World()).routes:
        assert isinstance(route, Route)
        served |= {(method, re.sub(r"{\w+}", "{}", route.path.removeprefix("/resources"))) for method in route.methods or ()}
    left_out = re.compile("conversations|messages|meetings|customObjects|customFields|surveys|search")
    assert {(method, path) for method, path in described - served if not left_out.search(path)} == set()
