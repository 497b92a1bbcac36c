"""The base of every value: frozen, and deaf to nothing, so that a misspelt field is an error and not a silence."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """A frozen value object; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(BaseModel):
    """What crosses a process boundary for a long time (a workflow's input, a signal): unknown fields are ignored.

    An old worker may meet a message of a newer one, so new fields always have a default.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")


class State(BaseModel):
    """What a workflow remembers: mutable, checked on assignment, one argument of continue-as-new."""

    model_config = ConfigDict(validate_assignment=True, extra="ignore")
