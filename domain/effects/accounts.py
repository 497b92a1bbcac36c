"""The acts of a customer's account after the sale: its CRM record and renewal, Vitally, the red-accounts tracker, the renewed key."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field

from domain.effects.effect import Act

Scalar = str | bool | int | float | None

# --- Salesforce ------------------------------------------------------------------------------------------------------------------


class SetAccount(Act):
    """Set fields of a customer's account in the CRM, by its API names. ``account`` is the CRM's id."""

    do: Literal["set_account"] = "set_account"
    account: str
    fields: dict[str, Scalar]


class KeepRenewal(Act):
    """The renewal's opportunity: the account's open one, made at the last sale, is adopted by our key; else one is made.

    ``owner`` is a CRM user id (the AE); ``amount`` is the ARR in whole dollars.
    """

    do: Literal["keep_renewal"] = "keep_renewal"
    account: str
    name: str
    close_on: date
    amount: int
    seats: int = 0
    owner: str = ""


# --- Licensing -------------------------------------------------------------------------------------------------------------------


class ReissueKey(Act):
    """A further key on an existing subscription (D30, handbook 3.1: a renewal never makes a new subscription). The key goes to the vault."""

    do: Literal["reissue_key"] = "reissue_key"
    subscription: str
    account: str
    tags: tuple[str, ...]
    seats: int
    expires_at: datetime


# --- Vitally ---------------------------------------------------------------------------------------------------------------------


class SetTraits(Act):
    """Merge traits into the account's; ``None`` deletes one. ``account`` is its external id: the registrable domain."""

    do: Literal["set_traits"] = "set_traits"
    account: str
    traits: dict[str, Scalar]


class KeepDoc(Act):
    """Write a document of the account, or bring the one of that ``doc`` up to date. ``lines`` are its paragraphs, in plain text."""

    do: Literal["keep_doc"] = "keep_doc"
    account: str
    doc: str
    title: str
    lines: tuple[str, ...]


class OpenProject(Act):
    """Open a project of the account from the template of that name; the same key finds it again."""

    do: Literal["open_project"] = "open_project"
    account: str
    template: str
    name: str


class CloseProject(Act):
    """Complete the project that an earlier ``OpenProject`` of that key made, with the reason in its name's place of the history."""

    do: Literal["close_project"] = "close_project"
    account: str
    project: str
    why: str


VitallyAct = Annotated[SetTraits | KeepDoc | OpenProject | CloseProject, Field(discriminator="do")]

# --- Google Sheets -----------------------------------------------------------------------------------------------------------------


class KeepRow(Act):
    """Write the tracker's row of that ``row`` key, or bring it up to date. ``cells`` are by the header's names; others stay."""

    do: Literal["keep_row"] = "keep_row"
    row: str
    cells: dict[str, str]


SheetsAct = KeepRow
