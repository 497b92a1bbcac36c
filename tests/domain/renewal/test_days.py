"""C10 at other figures: early review and process have their days each, and neither moves the other."""

from __future__ import annotations

import pytest

from domain.renewal.state import RenewalState, agenda
from tests.domain.make_accounts import figures, on

AHEAD = {"early_review": 180, "assessment": 120, "value_engineering": 90, "processing": 14, "term_end": 0}


@pytest.mark.parametrize(
    ("changed", "moved"),
    [
        ({}, {}),
        ({"renewal__early_review_days": 150}, {"early_review": 150}),
        ({"renewal__process_days": 150}, {"assessment": 150}),
        ({"renewal__early_review_days": 240, "renewal__process_days": 179}, {"early_review": 240, "assessment": 179}),
    ],
)
def test_c10_each_start_is_a_figure_of_its_own(changed: dict[str, int], moved: dict[str, int]) -> None:
    ends = on(365)
    found = agenda(figures(**changed), RenewalState(renewal_on=ends))
    assert {moment.key: (ends - moment.at.date()).days for moment in found} == {**AHEAD, **moved}
