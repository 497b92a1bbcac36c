"""The API as its own document describes it, called with what fits it and with what does not: no 5xx, nothing undocumented, nothing stuck.

Schemathesis draws the calls from ``/openapi.json`` for each operation; behind is a whole service with open trials and tasks. The same
calls in every run; ``FUZZ_EXAMPLES=200`` tries more, and others.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_schema_conformance,
    status_code_conformance,
)

from domain.rights import Group
from starter.web.app import create_app
from store.access import ServiceTokens
from tests.workflows.play import Play
from tests.workflows.test_fuzz import brought_to_its_end, well
from tests.workflows.trial.test_trial import prequalified, unknown

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance, ignored_auth]
fuzzed = settings(
    max_examples=EXAMPLES or 3,
    deadline=None,
    database=None,
    derandomize=not EXAMPLES,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@asynccontextmanager
async def served(play: Play) -> AsyncIterator[str]:
    """The web on a port of its own; gives its address."""
    config = uvicorn.Config(create_app(play.tenure, play.settings), port=0, log_level="warning", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving


def calls(url: str, token: str, domains: tuple[str, ...]) -> tuple[int, set[str]]:
    """Call every operation with fitting and unfitting values; returns how many calls were made, and of which operations."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    made, seen = 0, set[str]()
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            cases = operation.as_strategy(generation_mode=mode)

            @fuzzed
            @given(cases)
            def call(case: schemathesis.Case[Any]) -> None:
                nonlocal made
                for key in {"domain", "account"} & (case.path_parameters or {}).keys() if made % 2 else ():
                    case.path_parameters[key] = domains[made % len(domains)]  # one that there is
                case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, checks=CHECKS, timeout=30)
                made += 1

            try:
                call()
            except Unsatisfiable:  # nothing can be sent to it that does not fit
                assert mode is GenerationMode.NEGATIVE
        seen.add(operation.label)
    return made, seen


# The library's own strategies draw by `random`; hypothesis seeds that, so the calls are the same in every run.
@pytest.mark.long
@pytest.mark.filterwarnings("ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning")
async def test_whatever_is_sent_to_the_api(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """That no workflow task failed is asserted for every test."""
    # Hypothesis parses a lambda's source to name it, beside the workers' sandboxes that parse modules: CPython 3.11 counts the depth for all threads.
    monkeypatch.setattr("hypothesis.internal.lambda_sources.lambda_description", lambda _function: "<lambda>")
    open_, _ = await prequalified(play)
    triaged = await unknown(play)
    token = ServiceTokens(play.ledger).create("fuzz", role=Group.OPS)
    async with served(play) as url:
        made, seen = await asyncio.to_thread(calls, url, token, (open_, triaged))
    assert made >= 3 * len(seen)
    assert len(seen) >= 10
    for domain in (open_, triaged):
        if await well(play, f"trial-{domain}"):
            await brought_to_its_end(play, f"trial-{domain}")
