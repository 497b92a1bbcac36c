"""What people decide about a customer's account, a red one and a get-well plan: each message, and what is made of it (:mod:`domain.commands`)."""

from datetime import date
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from domain.commands import ACCOUNT, PLAN, RED, ByPerson, Command, Note
from domain.rights import ABOVE, ANY, SALE, TEAM, Group
from domain.wording import beside

Source = Literal["automatic", "judgement", "vitally", "salesforce"]
SAID = beside(__file__)
_CUSTOMER = {Group.AE: TEAM, Group.TA: TEAM, **ABOVE}
Part = Annotated[str | None, Field(max_length=2_000)]


class MarkAccountRed(ByPerson):
    """The update ``mark_red`` of an account: a person's judgement (B18)."""

    reason: str = Field(default="", max_length=2_000, description="Why the account is at risk.")


class StartRenewal(ByPerson):
    """The update ``start_renewal``: the renewal of this term begins now, by hand. ``renewal_on`` (``date``): when the term ends, where the CRM does not say."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    renewal_on: date | None = Field(default=None, alias="date", description="When the term ends; the CRM's date when not given.")


class MarkRed(ByPerson):
    """The update ``mark_red``: one command for both systems (C20). ``by`` is empty when the facts alone decided."""

    reason: str = Field(min_length=1, max_length=2_000)
    source: Source = "judgement"


class Resolve(ByPerson):
    """The update ``resolve``: the account is red no more."""

    to: Literal["yellow", "green"] = Field(description="yellow or green.")
    note: Note = Field(default="", description="What changed.")


class PlanText(ByPerson):
    """The update ``plan``: the TA writes the plan, or rewrites the parts that are given, at any time."""

    state: Part = Field(default=None, description="The current state, and the relationship.")
    onboarding_flow: Part = Field(default=None, description="Are we in their developers' onboarding flow?")
    docs: Part = Field(default=None, description="Are our docs in their own content system?")
    syncs: Part = Field(default=None, description="Which recurring syncs with business stakeholders are there?")
    drive: Part = Field(default=None, description="The plan to drive utilization.")
    help: Part = Field(default=None, description="Where it is stuck, and which help is needed.")
    context: Part = Field(default=None, description="Why the utilization is below the target, and what is in progress.")

    def parts(self) -> dict[str, str]:
        """What is given, by the question's name."""
        return {name: text.strip() for name, text in self.model_dump(exclude={"by"}, exclude_none=True).items() if text.strip()}


START_RENEWAL = Command("start_renewal", ACCOUNT, StartRenewal, rights={**_CUSTOMER, Group.OPS: ANY}, **SAID["start_renewal"])
MARK_ACCOUNT_RED = Command("mark_red", ACCOUNT, MarkAccountRed, rights={**SALE, Group.TA: TEAM}, **SAID["mark_red"])
MARK_RED = Command("mark_red", RED, MarkRed, action="mark_red", handbook="C20", offered=False)  # the account says it
RESOLVE = Command("resolve", RED, Resolve, action="resolve_red", rights=_CUSTOMER, **SAID["resolve"])
WRITE_PLAN = Command("plan", PLAN, PlanText, rights={Group.CE: TEAM, Group.TA: TEAM, **ABOVE}, **SAID["plan"])
