"""What is done in the CRM: the signup's lead, its opportunity, a customer's account, and the opportunity of a renewal (D30)."""

from datetime import date

from domain.effects.effect import Effect, Scalar


class SalesforceEffect(Effect):
    """An effect on the CRM."""


class KeepLead(SalesforceEffect, words="keep the lead"):
    """Make the signup's lead, or find it again by its key, and put it in the campaign."""

    email: str
    first_name: str
    last_name: str
    company: str
    domain: str
    source: str
    status: str = "New"


class SetLeadStatus(SalesforceEffect):
    """Set status, sub-status and reason of the subject's lead (canonical sub-statuses: handbook 2.1)."""

    status: str
    sub_status: str = ""
    reason: str = ""

    def in_words(self) -> str:
        """The status that says most."""
        return f"lead status {self.sub_status or self.status}"


class AssignOwner(SalesforceEffect, words="assign to {owner_name}"):
    """Give the subject's lead, or its opportunity once converted, to an owner (a CRM user id)."""

    owner: str
    owner_name: str
    ce: str = ""


class ConvertLead(SalesforceEffect, words="convert the lead to an opportunity"):
    """Convert the subject's lead to an opportunity, into the company's account when there is one. It stays in stage 1."""

    account: str = ""
    opportunity: str


class UpdateOpportunity(SalesforceEffect, words="set {fields}"):
    """Set fields of the subject's opportunity, by the CRM's API names."""

    fields: dict[str, str | bool | int | None]


class SetAccount(SalesforceEffect, words="set the account's {fields}"):
    """Set fields of a customer's account in the CRM, by its API names. ``account`` is the CRM's id."""

    account: str
    fields: dict[str, Scalar]


class KeepRenewal(SalesforceEffect, words="keep the renewal opportunity"):
    """The renewal's opportunity: the account's open one, made at the last sale, is adopted by our key; else one is made.

    ``owner`` is a CRM user id (the AE); ``amount`` is the ARR in whole dollars.
    """

    account: str
    name: str
    close_on: date
    amount: int
    seats: int = 0
    owner: str = ""
