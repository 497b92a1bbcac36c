"""What is done in Vitally: an account's traits, documents and projects."""

from __future__ import annotations

from typing import ClassVar

from domain.effects.effect import Effect, Scalar


class VitallyEffect(Effect):
    """An effect on Vitally."""

    system: ClassVar[str] = "vitally"


class SetTraits(VitallyEffect):
    """Merge traits into the account's; ``None`` deletes one. ``account`` is its external id: the registrable domain."""

    words: ClassVar[str] = "set {traits}"
    account: str
    traits: dict[str, Scalar]


class KeepDoc(VitallyEffect):
    """Write a document of the account, or bring the one of that ``doc`` up to date. ``lines`` are its paragraphs, in plain text."""

    words: ClassVar[str] = "write {title}"
    account: str
    doc: str
    title: str
    lines: tuple[str, ...]


class OpenProject(VitallyEffect):
    """Open a project of the account from the template of that name; the same key finds it again."""

    words: ClassVar[str] = "open the project {name}"
    account: str
    template: str
    name: str


class CloseProject(VitallyEffect):
    """Complete the project that an earlier ``OpenProject`` of that key made, with the reason in its name's place of the history."""

    words: ClassVar[str] = "complete the project: {why}"
    account: str
    project: str
    why: str
