"""What an issue says of the request that it makes to the Cloud team, and what a person may decide when that is not "done".

What each event means stands in docs/decisions: only an issue that was closed as completed (of an instance: labelled ready, with a host of ours) says
that something has happened. Closed for any other reason, deleted, transferred or closed without the label, it says that nothing goes on by itself.
"""

from collections.abc import Iterable
from typing import Literal

from domain.base import Value
from domain.cloud.issues import READY_LABEL, became, is_declined, is_done, is_ours, is_ready
from domain.effects.github import IssueState
from domain.task import Choice

HOLDS = Choice(name="holds", label="What was done stands")


class Word(Value):
    """``done``, ``open`` (it is being done), or ``wrong``: a person must say what becomes of it, and ``why`` ends a sentence that begins with the issue."""

    says: Literal["open", "done", "wrong"]
    why: str = ""
    host: str = ""


def word(issue: IssueState) -> Word:
    """What an issue says that is closed when what it asks has been done."""
    if is_done(issue.state, issue.reason):
        return Word(says="done")
    if is_declined(issue.state, issue.reason):
        return Word(says="wrong", why=became(issue.state, issue.reason, issue.moved_to))
    return Word(says="open")


def word_on_instance(issue: IssueState, own: Iterable[str], taken: Iterable[str] = ()) -> Word:
    """What a request for an instance says: its label makes it ready, at the host of ours that the Cloud team named. ``taken`` are other companies'."""
    plain, own = word(issue), tuple(own)
    if plain.says == "wrong":
        return plain
    if not is_ready(issue.labels):
        return Word(says="wrong", why=f"was closed without the label {READY_LABEL}") if plain.says == "done" else plain
    if not issue.host:
        return Word(says="wrong", why="is labelled as ready, and no comment of the Cloud team names a host that can be read")
    if not is_ours(issue.host, own):
        return Word(says="wrong", why=f"names {issue.host}, which is not below {' or '.join(own)}")
    if issue.host in taken:
        return Word(says="wrong", why=f"names {issue.host}, which is another company's")
    return Word(says="done", host=issue.host)
