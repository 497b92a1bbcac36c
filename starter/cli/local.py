"""The commands about the local stack: it starts, plays a demo, and moves its clock."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.padding import Padding
from rich.text import Text

from domain.views import TrialStatus
from starter.cli import parts
from starter.cli.base import Domain, Json, argument, ask, emit
from starter.errors import Refused
from starter.local import skip as clocks
from starter.local import stack
from starter.local.demo import main
from starter.run import run_cli
from starter.service.bootstrap import find
from starter.service.tenure import Tenure


def up(
    sandbox: Annotated[bool, typer.Option("--sandbox/--no-sandbox", help="Run the stand-ins for the outside systems too.")] = True,
    fleet: Annotated[int, typer.Option("--fleet", min=0, max=2_000, help="How many customers the stand-ins have.")] = 300,
    as_json: Json = False,
) -> None:
    """Start the local stack and stay until Ctrl-C: Temporal's dev server, the stand-ins, the web, one worker."""
    raise typer.Exit(run_cli(stack.up(find().settings, with_sandbox=sandbox, fleet=fleet, as_json=as_json)))


def demo(
    renewals: Annotated[bool, typer.Option("--renewals", help="Play a quarter's renewals instead of a dozen trials.")] = False,
    as_json: Json = False,
) -> None:
    """Play a dozen companies through every case, time skipped, against the running stack or one of its own."""
    raise typer.Exit(main(find(), as_json, of_renewals=renewals))


def skip(
    domain: Domain,
    length: Annotated[str, argument("LENGTH", "How far: 10d, 36h, 2w, 1d12h.")],
    workflow: Annotated[bool, typer.Option("--workflow", help="DOMAIN is the id of any workflow, such as a join request's.")] = False,
    as_json: Json = False,
) -> None:
    """Move one trial's clock on. Only the local stack's server can."""
    duration = clocks.parse_duration(length)
    place = find()
    if place.cluster is None:
        do = "Start it with `tenure up`, or name its directory with --data"
        raise Refused("time can be skipped on the local stack only, and none runs here", do)

    async def moved(tenure: Tenure) -> dict[str, Any]:
        await clocks.require_local(tenure.client, place.cluster)
        workflow_id = domain if workflow else tenure.workflow_of(domain)
        before = {row.number for row in tenure.ledger.effects(workflow=workflow_id)}
        clock = await clocks.skip(tenure.client, workflow_id, duration)
        status = None if workflow else (await tenure.trial(domain)).status
        done = [row for row in tenure.ledger.effects(workflow=workflow_id) if row.number not in before]
        return {"workflow": workflow_id, "before": clock.before, "now": clock.now, "open": clock.open, "status": status, "effects": done}

    emit(ask(moved), as_json, _skipped)


def _skipped(result: dict[str, Any]) -> Iterator[Any]:
    """Where the clock stands now, and what happened meanwhile."""
    before, now = result["before"], result["now"]
    yield Text.assemble((result["workflow"], "bold"), f"  {parts.when(before)} → ", (parts.when(now), "bold cyan"))
    done = result["effects"]
    yield Padding(parts.effects(done), (0, 0, 0, 2)) if done else parts.dim("  nothing was done meanwhile")
    status: TrialStatus | None = result["status"]
    if status is not None:
        yield Text.assemble((parts.words(status.stage), "bold"), f"  {parts.first_line(status.in_words)}")
    elif not result["open"]:
        yield Text("It has ended.", style="bold")
