"""The bases of every model. All are tolerant of unknown fields: an old worker may meet what a newer one wrote."""

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """A frozen value object. A misspelt field in our own code is the type checker's to find; in a policy file, the loader's."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Message(Value):
    """What crosses a process boundary (a workflow's input, a signal, an activity's): new fields always have a default."""


class State(BaseModel):
    """What a workflow remembers: mutable, checked on assignment, one argument of continue-as-new."""

    model_config = ConfigDict(validate_assignment=True, extra="ignore")
