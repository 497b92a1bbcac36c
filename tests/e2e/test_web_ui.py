"""The local stack's Web UI in a real browser: clear text for whoever has signed in, nothing for anybody else, and no token in its settings."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import pytest

from tests.starter.local.test_stack import asked, free_offset, running_stack

pytestmark = pytest.mark.long
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[dict[str, Any]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TEMPORAL_", "TENURE_"))}
    with running_stack(tmp_path, free_offset(), environment) as (_, ready):
        asked(tmp_path, "signup", "ada.lovelace@acme.example", "--company", "Analytical Engines")
        yield ready | {"data": str(tmp_path)}


def test_its_settings_have_no_token_and_it_answers_to_its_own_names_only(stack: dict[str, Any]) -> None:
    with httpx.Client(base_url=stack["temporal_ui"], trust_env=False) as ui:
        said = ui.get("/api/v1/settings")
        token = asked(Path(stack["data"]), "keys", "token")["token"]
        assert said.json()["Codec"] | {"DefaultErrorMessage": ""} == {
            "Endpoint": f"{stack['web']}/codec",
            "PassAccessToken": False,
            "IncludeCredentials": True,
            "DefaultErrorMessage": "",
            "DefaultErrorLink": f"{stack['web']}/sign-in",
        }
        assert token not in said.text
        port = stack["temporal_ui"].rpartition(":")[2]
        for path in ("/", "/api/v1/settings", "/api/v1/namespaces"):
            assert ui.get(path, headers={"Host": f"evil.example:{port}"}).status_code == 421, path
        moved = ui.get("/namespaces", headers={"Host": f"localhost:{port}", "Accept": "text/html"})
        assert (moved.status_code, moved.headers["location"]) == (307, f"{stack['temporal_ui']}/namespaces")
    behind = f"http://127.0.0.1:{int(port) + 1}"  # the development server's own pages know of no codec at all
    assert httpx.get(f"{behind}/api/v1/settings", trust_env=False).json()["Codec"]["Endpoint"] == ""
    commands = [psutil.Process(stack["pid"]).cmdline(), *(each.cmdline() for each in psutil.Process(stack["pid"]).children(recursive=True))]
    assert len(commands) > 4
    assert not any(token in word for command in commands for word in command)


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")
def test_who_has_signed_in_reads_clear_text_and_nobody_else_does(stack: dict[str, Any]) -> None:
    from playwright.sync_api import expect, sync_playwright

    page_of_trial = f"{stack['temporal_ui']}/namespaces/default/workflows/{quote('trial-acme.example')}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        context = browser.new_context()
        page = context.new_page()
        codec: list[int] = []
        page.on("response", lambda answer: codec.append(answer.status) if "/codec/decode" in answer.url else None)

        page.goto(page_of_trial)
        expect(page.get_by_text("trial-acme.example").first).to_be_visible(timeout=60_000)
        page.wait_for_event("response", lambda answer: "/codec/decode" in answer.url, timeout=60_000)
        assert set(codec) == {401}
        assert "Analytical Engines" not in page.content()

        page.goto(f"{stack['web']}/console")
        page.get_by_role("link", name="Sign in").or_(page.get_by_role("button", name="Sign in")).first.click()
        page.get_by_text("ce-ada", exact=False).first.click()
        page.wait_for_url(f"{stack['web']}/console**", timeout=60_000)

        codec.clear()
        page.goto(page_of_trial)
        expect(page.get_by_text("Analytical Engines").first).to_be_visible(timeout=60_000)
        assert set(codec) == {200}
        browser.close()
