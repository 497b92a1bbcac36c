"""Names that strangers give: words of ours when they are none."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import names
from tests.domain.make import quickly


@pytest.mark.parametrize(
    "name",
    ["Dana", "Jean-Luc O'Neil", "Müller-Lüdenscheidt", "R&D", "AT&T Inc.", "Ben & Jerry's (UK)", "3M", "C# Corp", "A*STAR", "Yahoo!", "李小龙",
     "Nguyễn Thị Minh Khai", "St. John", "J. R. R. Tolkien", "Acme, Inc. / Labs", "Dr. Ada L.", "अदा शर्मा", "डॉ. शर्मा", "วิชัย", "", "a" * 60],
)  # fmt: skip
def test_what_people_and_companies_are_called_is_taken(name: str) -> None:
    assert names.fault(names.tidy(name), "dana@acme.com") is None


@pytest.mark.parametrize(
    "name",
    [
        "You won, claim at https://evil.example/c",
        "HTTP://evil.example",
        "hxxp://evil.example",
        "evil.example",
        "Acme evil.com/claim?a=b",
        "go to www.evil.example now",
        "evil.example:8080",
        "xn--80ak6aa92e.com",
        "еvil.рф",
        "evil。example",
        "evil\u2024example/claim",
        "ｅｖｉｌ．ｃｏｍ",
        "ⓔⓥⓘⓛ.ⓒⓞⓜ",
        "http:evil",
        "127.0.0.1/claim",
        "tel:1900",
        "ada＠evil",
        "mailto:a",
        "ada@evil.example",
        "@acme-vendor/cloud",
        "<!channel> Acme",
        "<https://evil.example|Reset password>",
        "[x](y)",
        "`rm -rf`",
        "{{ 7 }}",
        "a|b",
        "a" * 61,
        "javascript:alert(1)",
        "192.168.0.1/login",
        "log in at 10.0.0.1",
        "evil﹒example",
        "evil․example",
        "ｈttp:／／evil",
        "＠acme-vendor",
        "＜b＞",
        "call tel:+15550100",
        "evil.भारत",
        "शर्मा.भारत/दावा",
        "evil.ไทย",
        "skype:evil?call",
    ],
)
def test_what_is_no_name_is_refused_in_words(name: str) -> None:
    why = names.fault(names.tidy(name), "dana@acme.com")
    assert why
    assert "leave" in why or "Shorten it to 60" in why
    assert len(why) < 160


@pytest.mark.parametrize("blank", ["\u3164", "\u2800", "\uffa0\u115f", "\u034f", "\u200b \u2060"])
def test_a_name_that_nobody_sees_is_none(blank: str) -> None:
    assert names.tidy(blank) == ""
    assert names.tidy(f"Acme{blank}Ltd") == "Acme Ltd"


def test_a_company_that_is_called_as_its_domain_is_taken() -> None:
    assert names.fault("Booking.com", "bob@booking.com") is None
    assert names.fault("Booking.com B.V.", "bob@eu.booking.com") is None
    assert names.fault("Booking.com", "bob@acme.com")


@quickly
@given(st.text(max_size=200), st.sampled_from(["https://evil.example/c", "evil.com", "<b>", "x@y.z", "www.a"]), st.text(max_size=200))
def test_no_link_comes_through_whatever_stands_around_it(before: str, link: str, after: str) -> None:
    assert names.fault(names.tidy(f"{before} {link} {after}"), "dana@acme.com")


@quickly
@given(st.text(max_size=120))
def test_a_tidy_name_is_one_visible_line_and_tidy_again(text: str) -> None:
    name = names.tidy(text)
    assert name == names.tidy(name)
    assert name.isprintable()
    assert not re.search(r"^\s|\s$|\s\s", name)
