"""The API's pages about customers: lists that go on where the page before ended, and one with everything."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.account.account import RenewalRow
from domain.read_model import ProcessRow, Rows
from store.read_model import ReadModel
from tests.rows import keep_renewal
from tests.starter.web_fakes import CUSTOMER, NOON, RENEWING, RUNNING, Site, site_in


async def listed(site: Site, path: str, **asked: Any) -> list[dict[str, Any]]:
    answer = await site.http.get(f"/api/{path}", params=asked)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def test_customers_page_by_page(tmp_path: Path) -> None:
    async with site_in(tmp_path) as site:
        assert [row["customer"]["domain"] for row in await listed(site, "accounts")] == [RENEWING, CUSTOMER]
        (first,) = await listed(site, "accounts", limit=1)
        assert [row["customer"]["domain"] for row in await listed(site, "accounts", after=first["customer"]["domain"])] == [CUSTOMER]
        assert await listed(site, "accounts", band="poor") == []
        for wrong, words in (({"band": "so-so"}, "is not a band"), ({"after": "gone.com"}, "Ask for the first page again")):
            answer = await site.http.get("/api/accounts", params=wrong)
            assert (answer.status_code, words in answer.text) == (422, True)


async def test_renewals_page_by_page(tmp_path: Path) -> None:
    async with site_in(tmp_path) as site:
        for number, rating in enumerate(("red", "green"), start=1):
            on = date(2027, 6, 30) + timedelta(days=number)
            row = {**RUNNING, "workflow": f"renewal-b{number}.com-{on}", "domain": f"b{number}.com", "renewal_on": on, "rating": rating}
            keep_renewal(site.tenure.ledger, RenewalRow(**row, updated_at=NOON))
        found = await listed(site, "renewals")
        assert [row["domain"] for row in found] == [RENEWING, "b1.com", "b2.com"]
        following = await listed(site, "renewals", after=found[0]["workflow"], limit=1)
        assert [row["domain"] for row in following] == ["b1.com"]
        assert [row["domain"] for row in await listed(site, "renewals", rating="green")] == ["b2.com"]
        assert await listed(site, "renewals", status="churned") == []


@pytest.mark.parametrize(("place", "kind"), [("red-accounts", "RedAccount"), ("plans", "GetWell")])
async def test_red_accounts_and_plans_page_by_page(tmp_path: Path, place: str, kind: str) -> None:
    async with site_in(tmp_path) as site:
        for version, (domain, stage, closed) in enumerate(
            (("c.com", "planning", False), ("a.com", "open", False), ("b.com", "over", True))
        ):
            row = ProcessRow(kind=kind, subject=domain, stage=stage, owner="Ta.One@tenure.example", closed=closed, at=NOON)
            ReadModel(site.tenure.ledger).keep(Rows(workflow=f"{place}-{domain}", run="r1", version=version, process=row))
        assert [row["subject"] for row in await listed(site, place)] == ["a.com", "c.com"]
        assert [row["subject"] for row in await listed(site, place, closed=True)] == ["a.com", "b.com", "c.com"]
        assert [row["subject"] for row in await listed(site, place, closed=True, after=f"{place}-a.com", limit=1)] == ["b.com"]
        assert [row["subject"] for row in await listed(site, place, stage="planning", owner="ta.one@tenure.example")] == ["c.com"]
        assert await listed(site, place, owner="nobody@tenure.example") == []


async def test_who_is_no_customer_has_no_page(tmp_path: Path) -> None:
    async with site_in(tmp_path) as site:
        for place in ("accounts", "renewals", "red-accounts", "plans"):
            answer = await site.http.get(f"/api/{place}/nobody.example")
            assert (answer.status_code, "is no customer" in answer.text) == (404, True), place
        assert (await site.plain.get("/api/accounts")).status_code == 401
