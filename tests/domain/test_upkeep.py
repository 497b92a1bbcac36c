"""How many instances the pool asks for: up to its target, never past the cap, each under a host of its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.upkeep import missing
from tests.domain.make import POLICY, quickly, with_figures


@pytest.mark.parametrize(
    ("coming", "cap_left", "made"),
    [(0, 300, 4), (3, 300, 1), (4, 300, 0), (9, 300, 0), (0, 2, 2), (3, 0, 0), (0, -5, 0), (9, -5, 0)],
)
def test_the_pool_is_filled_to_its_target_within_the_cap(coming: int, cap_left: int, made: int) -> None:
    assert len(missing(POLICY, coming, cap_left, "run")) == made


@quickly
@given(target=st.integers(2, 50), coming=st.integers(0, 60), cap_left=st.integers(-10, 60), seed=st.text(max_size=8))
def test_never_past_the_target_or_the_cap(target: int, coming: int, cap_left: int, seed: str) -> None:
    policy = with_figures(pool__target=target)
    hosts = missing(policy, coming, cap_left, seed)
    assert len(hosts) <= max(cap_left, 0)
    assert not hosts or coming + len(hosts) <= target
    assert coming + len(hosts) >= target or len(hosts) == max(cap_left, 0), "neither the target nor the cap was reached"
    assert len(set(hosts)) == len(hosts)
    assert all(host.startswith("src-") and host.endswith("." + policy.cloud.domain_suffix) for host in hosts)


def test_two_runs_ask_for_other_hosts_and_one_run_for_the_same() -> None:
    first, second = (missing(POLICY, 0, 300, seed) for seed in ("one", "two"))
    assert not set(first) & set(second)
    assert missing(POLICY, 0, 300, "one") == first
    assert missing(POLICY, 1, 300, "one") == first[:3]
