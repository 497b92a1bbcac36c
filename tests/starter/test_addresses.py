"""From an address to the key of a company."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import policy
from starter.addresses import read_address, read_key, read_trial, registrable_domain
from starter.errors import BadInput

FREE = policy.default().routing.free_mail


@pytest.mark.parametrize(
    ("email", "key"),
    [
        ("ada@acme.com", "acme.com"),
        ("  ada@acme.com ", "acme.com"),
        ("ada@Mail.Dev.ACME.com", "acme.com"),
        ("ada@acme.co.uk", "acme.co.uk"),
        ("ada@eu.acme.co.uk", "acme.co.uk"),
        ("ada@acme.example", "acme.example"),
        ("ada@eu.acme.example", "acme.example"),
        ("ada@project.github.io", "github.io"),
        ("ada@bücher.example", "xn--bcher-kva.example"),
        ("ada@www.食狮.公司.cn", "xn--85x722f.xn--55qx5d.cn"),
        ("ada@city.kobe.jp", "city.kobe.jp"),
        ("ada@www.ck", "www.ck"),
    ],
)
def test_the_key_is_the_registrable_domain(email: str, key: str) -> None:
    address = read_address(email, FREE)
    assert (address.key, address.free_mail) == (key, False)


@pytest.mark.parametrize("email", ["Ada.Lovelace@Gmail.com", "ada.lovelace@gmail.com", "ada.lovelace@GMAIL.COM"])
def test_free_mail_is_its_own_key_under_one_spelling(email: str) -> None:
    address = read_address(email, FREE)
    assert (address.key, address.free_mail) == ("ada.lovelace@gmail.com", True)


def test_a_subdomain_of_a_free_mail_provider_owns_no_company_either() -> None:
    assert read_address("ada@mx.gmail.com", FREE).free_mail


@pytest.mark.parametrize(
    ("email", "says"),
    [
        ("", "not valid"),
        ("ada", "@-sign"),
        ("ada@", "@-sign"),
        ("ada@acme", "period"),
        ("ada@localhost", "period"),
        ("ada@[127.0.0.1]", "bracketed"),
        ("ada@127.0.0.1", "not valid"),
        ("a da@acme.com", "not valid"),
        ("ada@acme..com", "two periods"),
        ('"ada"@acme.com', "Quoting"),
        ("ada@acme.com\nBcc: everyone@acme.com", "not valid"),
        ("ada@co.uk", "public suffix"),
        ("ada@b.kobe.jp", "public suffix"),
        ("a" * 1_000_000 + "@acme.com", "1,000,009 characters"),
    ],
)
def test_what_is_no_company_address_is_refused(email: str, says: str) -> None:
    with pytest.raises(BadInput, match=says) as refused:
        read_address(email, FREE)
    assert refused.value.field == "email"
    assert refused.value.do
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("named", ["acme.com", "ACME.com.", "www.acme.com", "https://www.acme.com/pricing", "ada@acme.com", " acme.com "])
def test_a_company_is_named_in_any_way(named: str) -> None:
    assert read_key(named, FREE) == "acme.com"
    assert read_trial(named, FREE) == "trial-acme.com"


@pytest.mark.parametrize("named", ["", "acme", "co.uk", "a b.com", "127.0.0.1", "-x.com", "x" * 300 + ".com", "' OR 1=1"])
def test_what_names_no_company_is_refused(named: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_key(named, FREE)
    assert refused.value.field == "domain"


def test_a_free_mail_trial_is_found_by_its_address_and_by_its_id() -> None:
    by_address = read_trial("ada@gmail.com", FREE)
    assert "ada" not in by_address
    assert read_trial(by_address, FREE) == by_address


def test_a_company_whose_domain_looks_like_an_id_keeps_its_own() -> None:
    assert read_trial("trial-hub.com", FREE) == "trial-trial-hub.com"


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    from starter import addresses

    addresses._suffixes.cache_clear()
    assert registrable_domain("eu.acme.co.uk") == "acme.co.uk"


@given(st.text(max_size=300))
def test_any_text_gives_a_key_or_a_refusal(text: str) -> None:
    try:
        address = read_address(text, FREE)
    except BadInput:
        return
    assert address.free_mail or registrable_domain(address.key) == address.key
