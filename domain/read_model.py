"""The rows that lists read: where a process stands, what it asks of whom, what it decided (design idea 11).

A process gives the rows that have changed to its worker, which writes them (:mod:`store.read_model`): they stand in no history.
"""

from datetime import datetime

from pydantic import Field

from domain.account.account import RenewalRow
from domain.base import Message
from domain.decision import Decision
from domain.policy import AnyPolicy
from domain.task import Task


class ProcessRow(Message):
    """Where a process stands. ``subject`` is what its id says that it is about; ``in_words`` one sentence; ``due_at`` its earliest task's."""

    kind: str
    subject: str
    stage: str
    owner: str = ""
    in_words: str = ""
    next_at: datetime | None = None
    next_what: str = ""
    due_at: datetime | None = None
    closed: bool = False
    at: datetime

    def same_as(self, other: "ProcessRow | None") -> bool:
        """Whether nothing has changed but words and times that go by; those follow with the next change."""
        words = {"in_words": self.in_words, "next_at": self.next_at, "next_what": self.next_what, "at": self.at}
        return other is not None and self == other.model_copy(update=words)


class Rows(Message):
    """What has changed of one workflow since its last rows. Of two rows for one thing the one of the later run, then of the higher version stays.

    ``whole``: the first rows of a run, with every open task; what earlier runs asked and this one does not, nobody asks any more.
    ``renewal`` is what the forecast reads of a renewal. ``first_decision`` is the number within the run of the first of ``decisions``, from 1;
    ``policy`` is the one that the run has now.
    """

    workflow: str
    run: str
    version: int
    whole: bool = False
    process: ProcessRow | None = None
    tasks: tuple[Task, ...] = ()
    first_decision: int = 1
    decisions: tuple[Decision, ...] = ()
    renewal: RenewalRow | None = None
    policy: AnyPolicy | None = Field(default=None, exclude=True)
