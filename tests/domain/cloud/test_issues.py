"""What a comment on an issue names: the host, however people and editors write it, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.cloud.issues import LONGEST, host_named, is_ours, is_ready, same_repository, speaks_for_the_team

HOST = "h-1.cloud.tenure.example"
URL = f"https://{HOST}"

#: How people write an address.
ADDRESSES = (
    URL,
    f"<{URL}>",
    f"[h]({URL})",
    f"[{URL}]({URL})",
    f'[h](<{URL}> "the instance")',
    f"**{URL}**",
    f"__{URL}__",
    f"`{URL}`",
    f"{URL}/",
    f"{URL}/sign-in?a=1",
    f"{URL}:443",
    f"({URL})",
    f"{URL}.",
    f'<a href="{URL}">here</a>',
    f"<a target=_blank href='{URL}/' rel=x>{HOST}</a>",
    "https://H-1.Cloud.Tenure.Example",
    f"http://{HOST}",
    HOST,
    f"[h][1]\n\n[1]: {URL}",
    f"| {URL} |",
)
#: How they say that it is ready.
WORDS = (
    "Instance ready: {}",
    "**Instance ready:** {}",
    "**Instance ready**: {}",
    "_Instance ready:_ {}",
    "### Instance ready: {}",
    "- Instance ready: {}",
    "1. Instance ready: {}",
    "- [x] **Instance ready:** {}",
    "> Instance ready: {}",
    "> **Instance ready:**\n> {}",
    "Instance ready:\n\n* {}",
    "<b>Instance ready:</b><br>{}",
    "<p>Instance&nbsp;ready:&#32;{}</p>",
    "INSTANCE READY: {}",
    "Hello!\r\n\r\nInstance ready: {}\r\nThe key follows.",
    "The instance is ready at {}",
    "Instance ready → {}",
    "Instance ready: https://old.cloud.tenure.example\n\nNo: instance ready: {}",
    "> Instance ready: https://old.cloud.tenure.example\n\nWrong one. Instance ready: {}",
    "Instance ready: {}\n\n> Instance ready: https://old.cloud.tenure.example",
    "~~Instance ready: https://old.cloud.tenure.example~~ Instance ready: {}",
    "<del>Instance ready: https://old.cloud.tenure.example</del> Instance ready: {}",
    "Instance ready: {} <!-- Instance ready: https://old.cloud.tenure.example -->",
)


@given(st.sampled_from(WORDS), st.sampled_from(ADDRESSES))
def test_the_host_is_read_whatever_the_markdown(words: str, address: str) -> None:
    assert host_named(words.format(address)) == HOST


@pytest.mark.parametrize("fence", ["```\n{}\n```", "~~~\n{}\n~~~", "`{}`", "    {}", "> > {}"])
def test_in_code_and_in_quotes_of_quotes(fence: str) -> None:
    assert host_named(fence.format(f"Instance ready: {URL}")) == HOST


PICTURE = "![screenshot](https://user-images.githubusercontent.com/1/x.png)"


@pytest.mark.parametrize(
    "comment",
    [
        f"Instance ready:\n\n{PICTURE}\n\n{URL}",
        f"Instance ready: {URL} {PICTURE}",
        f"Instance ready: [![open it](https://img.example/x.png)]({URL})",
        f"Instance ready: ![x][1] {URL}\n\n[1]: https://img.example/x.png",
        f"Instance\u200b ready: {URL}\u200b",
        f"Instance ready:\u2060 \ufeff{URL}\u200e",
        f"Instance ready: {URL[:12]}\u00ad{URL[12:]}",
    ],
)
def test_a_picture_and_what_nobody_sees_are_no_part_of_a_host(comment: str) -> None:
    assert host_named(comment) == HOST


def test_a_picture_alone_names_none() -> None:
    assert host_named(f"Instance ready: {PICTURE}") == host_named(PICTURE) == ""


@pytest.mark.parametrize("alone", [f"[h]({URL})", f"<{URL}>", URL, f"**{URL}**", f"[Instance ready]({URL})"])
def test_a_comment_that_is_an_address_and_nothing_else_names_it(alone: str) -> None:
    assert host_named(alone) == HOST


@pytest.mark.parametrize(
    "comment",
    [
        "",
        "On it.",
        f"Instance not ready: {URL}",
        f"I look at {URL}",
        "Instance ready: soon",
        "Instance ready!",
        "Instance ready: https://localhost",
        "Instance ready: https://10.0.0.7",
        "Instance ready: https://ä.example",
        "Instance ready: https://",
        "Instance ready: https://[::1]/",
        f"~~Instance ready: {URL}~~",
        f"<!-- Instance ready: {URL} -->",
    ],
)
def test_what_names_none(comment: str) -> None:
    assert host_named(comment) == ""


def test_the_host_is_what_a_browser_would_ask() -> None:
    """Not what stands before an @, nor what looks like ours in a path."""
    assert host_named(f"Instance ready: https://{HOST}@evil.example/") == "evil.example"
    assert host_named(f"Instance ready: https://evil.example/{HOST}") == "evil.example"
    assert not is_ours("evil.example", ["cloud.tenure.example"])
    assert not is_ours("evilcloud.tenure.example", ["cloud.tenure.example"])
    assert not is_ours("cloud.tenure.example", ["cloud.tenure.example"])
    assert is_ours(HOST.upper(), ["other.example", ".Cloud.Tenure.Example"])


@given(st.text(max_size=300))
def test_nothing_that_is_written_is_an_error_and_what_is_read_is_a_host(text: str) -> None:
    host = host_named(text)
    assert host == host.lower()
    assert not set(host) - set("abcdefghijklmnopqrstuvwxyz0123456789.-")


@pytest.mark.parametrize("piece", ["<del>", "<a href=x>", "~~", "<!--", "[", "[a](", "Instance ready ", "<a ", "\n[a]:", "> ", "&#"])
def test_a_comment_that_is_made_to_be_slow_is_read_at_once(piece: str) -> None:
    assert host_named(piece * (LONGEST // len(piece)) + f"\nInstance ready: {URL}" + "x" * 0) in ("", HOST)


@pytest.mark.parametrize(
    ("association", "login", "body", "counts"),
    [
        ("OWNER", "ann", "x", True),
        ("MEMBER", "ann", "x", True),
        ("COLLABORATOR", "ann", "x", True),
        ("CONTRIBUTOR", "ann", "x", False),
        ("FIRST_TIME_CONTRIBUTOR", "ann", "x", False),
        ("NONE", "mallory", "x", False),
        ("", "", "x", False),
        ("NONE", "Cloud-Bot[bot]", "x", True),
        ("MEMBER", "tenure-bot", "x <!-- tenure:trial-a.example/0a1b2c3d.1/request -->", False),
    ],
)
def test_who_speaks_for_the_cloud_team(association: str, login: str, body: str, counts: bool) -> None:
    assert speaks_for_the_team(association, login, ["cloud-bot[BOT]"], body) is counts


def test_github_knows_no_letter_case() -> None:
    assert is_ready(["mi", "Cloud-Trial/Instance-Ready"])
    assert not is_ready(["cloud-trial/instance-ready-soon"])
    assert same_repository("Acme-Vendor/Customer", "acme-vendor/customer")
    assert not same_repository("acme-vendor/customers", "acme-vendor/customer")
