"""What a mail says: its templates, what each needs, and its text folded to a readable width."""

import re
import textwrap
from functools import cache
from pathlib import Path
from typing import get_args

from css_inline import CSSInliner
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from domain.effects.mail import Template

TEMPLATES = Path(__file__).parent / "templates"
TEXT_WIDTH = 76
#: Puts the stylesheet into the elements, since some mail programs drop it; what it says of the dark and of small screens stays.
INLINER = CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)

_NEEDS: dict[Template, str] = {
    # for the prospect
    "sdr_welcome": "company",  # E1: the instance is being built, the CE is next
    "access": "host link",  # E2: the instance is ready, set your password; the AE gets a copy, the same without the link
    "instant_access": "company host link",  # E2': the same at once, for the prequalified
    "ce_welcome": "company host",  # E3: the CE offers to set it up together
    "connect_code_host": "host",  # E4: the first step
    "invite_team": "host",  # E4: colleagues and single sign-on
    "learn": "host",  # E4: searches worth trying
    "usage_check": "host",  # E4: how is it going; only once there is usage
    "community": "host",  # E4: where to get answers
    "next_steps": "company host trial_ends_on",  # E4: keep it, more time, stop; only with usage
    "inactivity_warning": "host trial_ends_on days_left",  # E5: unused, will be deleted
    "terminated": "company host",  # E6: ended, what to tidy up
    "disqualified": "company",  # E7: run it yourself
    "waitlisted": "company",  # no capacity now, the place is kept
    "existing_instance": "company host",  # E8: the company has one already
    "feedback": "company",  # E10: what would have made it work
    "new_link": "host link",  # a new reset link
    "converted": "company host",  # A17: it stays
    # for the admin of an instance, who is an address and greeted by no name
    "join_request": "host joiner",  # E9: who wants in, once a day
    "domain_change": "old_host new_host",  # A20: what the move breaks, asks for consent
    # for our own support desk, and no customer: reasons are worded by us for us
    "signup_failed": "event_id reason",  # A21: take over by hand; joiner is the person
}
NEEDS = {template: frozenset(names.split()) for template, names in _NEEDS.items()}
"""What each template needs in ``Mail.values`` beside what any mail may show where it helps; ``link`` is the mail's own.

``joiner`` are addresses, one a line. Mails about other people name their addresses and nothing that they typed.
"""

NAMES = frozenset({"ae_name", "ce_name", "company", "first_name", "sdr_name"})
"""The values that people chose or typed; ``first_name`` is the recipient's, for the greeting."""

VALUES = frozenset.union(NAMES, *NEEDS.values()) - {"link"}
OPTIONAL = NAMES | {"trial_ends_on", "joiner"}
"""The values that a template may ask for although they were not given."""


@cache
def compiled(folder: Path) -> Environment:
    """Every template of the folder, read and compiled once: what becomes of the files afterwards touches no mail of this process.

    Raises jinja2's ``TemplateNotFound`` or ``TemplateSyntaxError`` at once, before the worker takes its first task.
    """
    templates = Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        autoescape=select_autoescape(enabled_extensions=("html.j2",)),
        auto_reload=False,
        cache_size=-1,  # none is ever dropped
    )
    own = {f"{name}.{form}.j2" for name in get_args(Template) for form in ("txt", "html")}
    for name in own.union(templates.list_templates(extensions=["j2"])):  # the listed ones are also those that others extend or import
        templates.get_template(name)
    return templates


def wrapped(text: str) -> str:
    """The text with each line folded to a readable width; list items hang, and an address is never broken."""

    def fold(line: str) -> str:
        if line == "-- ":  # the mark before a signature ends in a blank (RFC 3676)
            return line
        hang = "  " if line.startswith("- ") else ""
        return textwrap.fill(line, TEXT_WIDTH, subsequent_indent=hang, break_long_words=False, break_on_hyphens=False)

    folded = "\n".join(map(fold, text.splitlines()))
    return re.sub(r"\n{3,}", "\n\n", folded).strip() + "\n"
