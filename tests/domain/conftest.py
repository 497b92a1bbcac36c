"""Every decision that a test of the domain makes is made again, from what its row would keep of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from domain.decision import Call, Decision, Replayable
from domain.policy import AnyPolicy


@pytest.fixture(autouse=True, scope="session")
def made_again() -> Iterator[None]:
    decide, under_way = Replayable.decide, list[bool]()

    def twice(self: Replayable, *args: Any, **kwargs: Any) -> Decision | None:
        made = decide(self, *args, **kwargs)
        if under_way or made is None or made.call is None:
            return made
        given = [each for each in (*args, *kwargs.values()) if isinstance(each, AnyPolicy)]

        def policy(kind: type[AnyPolicy], name: str) -> AnyPolicy:
            return next(each for each in given if isinstance(each, kind) and each.hash == name)

        under_way.append(True)
        try:
            again = self.again(Call.model_validate_json(made.call.model_dump_json()).inputs, policy)
        finally:
            under_way.pop()
        assert again is not None
        assert again.model_dump_json() == made.model_dump_json()
        return made

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Replayable, "decide", twice)
        yield
