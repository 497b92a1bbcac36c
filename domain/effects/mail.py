"""E-mail: every mail from a template."""

from typing import Literal

from domain.effects.effect import Effect

Template = Literal[
    "sdr_welcome", "access", "instant_access", "ce_welcome",
    "connect_code_host", "invite_team", "learn", "usage_check", "community", "next_steps",
    "inactivity_warning", "terminated", "disqualified", "waitlisted", "existing_instance",
    "join_request", "feedback", "new_link", "domain_change", "converted", "signup_failed",
]  # fmt: skip


class Mail(Effect):
    """One mail from a template. ``sender`` is one of ours (name, e-mail address); ``thread`` is the key of the mail that this one answers.

    ``link`` is the trial whose admin's reset link the mail's share link opens, for ``link_hours``; the mailer makes it, and nobody but ``to``
    gets the mail then. ``copy_of``: it is a copy, without the link, of the mail that went to that address.
    ``campaign``: not sent after the prospect opted out or the trial ended; the receipt then says ``held``.
    """

    template: Template
    to: str
    to_name: str = ""
    cc: tuple[str, ...] = ()
    sender: tuple[str, str] | None = None
    thread: str = ""
    link: str = ""
    link_hours: int = 0
    copy_of: str = ""
    campaign: bool = False
    values: dict[str, str] = {}

    def in_words(self) -> str:
        """The template's name."""
        return f"mail: {self.template.replace('_', ' ')}"
