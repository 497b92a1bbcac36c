"""The ids that are locks: stable, one for each entity, and no address of a person in any of them."""

from __future__ import annotations

import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import ids
from tests.domain.make import POLICY, quickly

HOST = r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.){1,3}[a-z0-9]{2,12}"
labels = st.text("abcxyz019", min_size=1, max_size=12)
domains = st.builds("{}{}.{}".format, labels, st.sampled_from(["", "-labs", ".co"]), st.sampled_from(["com", "de", "example"]))
addresses = st.builds("{}@{}".format, st.text("abcXYZ019.+_-", min_size=1, max_size=12), domains)


def test_the_id_of_a_trial_is_its_domain() -> None:
    assert ids.trial("acme.com") == "trial-acme.com"
    assert ids.trial("acme.co.uk") == "trial-acme.co.uk"


def test_a_free_mail_address_is_hashed_however_it_is_written() -> None:
    assert re.fullmatch(r"trial-free-[0-9a-f]{12}", ids.trial("ada@gmail.com"))
    assert ids.trial("ada@gmail.com") == ids.trial(" Ada@GMail.com ")
    assert ids.trial("ada@gmail.com") != ids.trial("bob@gmail.com")
    assert ids.trial("ada@gmail.com").removeprefix("trial-free-") == ids.digest("ada@gmail.com")


def test_one_wish_to_join_is_one_id() -> None:
    assert ids.join("acme.com", "Bob@acme.com") == ids.join("acme.com", "bob@acme.com")
    assert ids.join("acme.com", "bob@acme.com") != ids.join("acme.com", "eve@acme.com") != ids.join("other.com", "eve@acme.com")
    assert ids.join("acme.com", "bob@acme.com").startswith("join-acme.com-")


def test_a_host_is_changed_once_at_a_time() -> None:
    assert ids.domain_change("acme.com") == "domain-change-acme.com"
    assert ids.rescue("bob@acme.com") == ids.rescue("BOB@acme.com") == f"rescue-{ids.digest('bob@acme.com')}"


@quickly
@given(key=st.one_of(addresses, domains), email=addresses)
def test_no_id_shows_an_address(key: str, email: str) -> None:
    made = [ids.trial(key), ids.join(key, email), ids.rescue(email), ids.domain_change(key), ids.slug(key, 10)]
    for id in made:
        assert "@" not in id
        assert id
    # A local part of a few letters may stand in a company's own domain by chance; a longer one would have to be shown.
    for person in {email, *([key] if "@" in key else [])}:
        local = person.partition("@")[0]
        if len(local) > 6 and local not in key.rpartition("@")[2] and not re.fullmatch(r"[0-9a-f]*", local):
            assert not any(local in id for id in made)


@quickly
@given(st.lists(st.one_of(addresses.map(str.lower), domains), unique=True, min_size=2, max_size=6))
def test_two_companies_never_share_a_lock(keys: list[str]) -> None:
    assert len({ids.trial(key) for key in keys}) == len(keys)


@quickly
@given(st.lists(st.one_of(domains, st.from_regex(HOST, fullmatch=True).filter(lambda host: len(host) <= 253)), unique=True, max_size=8))
def test_no_two_companies_share_a_name(keys: list[str]) -> None:
    names = {ids.company(key) for key in keys}
    assert len(names) == len(keys)
    for name in names:
        assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name)
        assert len(f"cloud-trial-{name}-99") <= 80


@pytest.mark.parametrize("suffix", ["co.uk", "com.au", "co.nz", "org.uk"])
def test_a_suffix_of_two_labels_and_a_hyphen_make_two_names(suffix: str) -> None:
    hyphened = suffix.replace(".", "-", 1)
    keys = [f"acme.{suffix}", f"acme-{hyphened}", f"acme-{suffix}", "acme.com", "acme-com", f"{'a' * 63}.{suffix}", f"{'a' * 62}b.{suffix}"]
    assert len({ids.company(key) for key in keys}) == len(keys)
    assert ids.company(f"acme.{suffix}") == f"acme-{suffix.replace('.', '-')}"


@quickly
@given(st.lists(st.text(max_size=100), unique_by=lambda text: text.strip().lower(), max_size=6))
def test_whatever_a_key_is_its_name_is_its_own(keys: list[str]) -> None:
    assert len({ids.company(key) for key in keys if "@" not in key}) == len([key for key in keys if "@" not in key])


@quickly
@given(st.lists(st.text(max_size=400), unique=True, max_size=6), st.sampled_from([80, 120, 250, 256]))
def test_what_is_too_long_is_made_to_fit_and_stays_apart(texts: list[str], longest: int) -> None:
    made = [ids.fitted(text, longest) for text in texts]
    assert all(len(name) <= longest for name in made)
    assert len(set(made)) == len(texts)
    long = ["x" * 300 + end for end in ("a", "b", "")]
    assert len({ids.fitted(text, longest) for text in long}) == 3


@pytest.mark.parametrize(
    ("domain", "slug"),
    [
        ("acme.com", "acme"),
        ("acme.co.uk", "acme"),
        ("the-long-company.com", "the-long-c"),
        ("abcdefghi-jkl.com", "abcdefghi"),  # cut at ten, and no dash at the end
        ("Acme_Labs.com", "acmelabs"),
        ("xn--bcher-kva.de", "xn--bcher"),
        ("ada@gmail.com", "gmail"),
    ],
)
def test_the_short_name_of_a_company(domain: str, slug: str) -> None:
    assert ids.slug(domain, POLICY.provisioning.slug_length) == slug


def test_a_name_of_which_nothing_can_be_kept_is_hashed() -> None:
    assert ids.slug("株式会社.jp", 10) == ids.digest("株式会社.jp")[:10]


@quickly
@given(domain=st.one_of(domains, st.text(max_size=20)), length=st.integers(1, 30))
def test_a_short_name_fits_a_host_and_a_channel(domain: str, length: int) -> None:
    slug = ids.slug(domain, length)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", slug)
    assert len(slug) <= length
    assert slug == ids.slug(domain, length)


@quickly
@given(domains)
def test_the_account_that_a_workflow_is_about_stands_in_its_id(domain: str) -> None:
    about = (ids.account(domain), ids.get_well(domain), ids.red(domain), ids.renewal(domain, date(2027, 6, 30)))
    assert [ids.account_of(workflow) for workflow in about] == [domain] * 4
    others = (ids.trial(domain), ids.join(domain, f"a@{domain}"), ids.domain_change(domain), ids.rescue(f"a@{domain}"), "pool-2026-01-01")
    assert [ids.account_of(workflow) for workflow in others] == [""] * 5
