"""What a mail says: its templates, what each needs, and its text folded to a readable width."""

import re
import textwrap
from functools import cache
from pathlib import Path
from typing import get_args

from css_inline import CSSInliner
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from domain.effects.mail import Template
from domain.wording import beside

TEMPLATES = Path(__file__).parent / "templates"
TEXT_WIDTH = 76
#: Puts the stylesheet into the elements, since some mail programs drop it; what it says of the dark and of small screens stays.
INLINER = CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)

_NEEDS = beside(__file__)
NEEDS = {template: frozenset(_NEEDS[template].split()) for template in get_args(Template)}
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
