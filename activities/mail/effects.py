"""E-mail: every mail of the trial, from a template, in plain text and HTML (handbook 2.3, E1 to E10).

SMTP cannot be asked whether a mail was sent. So the Message-ID is derived from the effect's name: a mail that is sent again after a
lost answer carries the same one, by which mail systems recognise it, and later mails of a thread refer to it.

What each template says, and what it needs in ``Mail.values`` beside the optional ``first_name`` (the recipient's, for the greeting),
``ce_name``, ``ae_name``, ``sdr_name`` and ``trial_ends_on`` (shown where it helps):

    template            for             purpose                                             needs
    sdr_welcome         prospect        E1: the instance is being built, the CE is next     company
    access              prospect        E2: the instance is ready, set your password        host, link
    instant_access      prospect        E2': the same at once, for the prequalified         company, host, link
    ce_welcome          prospect        E3: the CE offers to set it up together             company, host
    connect_code_host   prospect        E4: the first step                                  host
    invite_team         prospect        E4: colleagues and single sign-on                   host
    learn               prospect        E4: searches worth trying                           host
    usage_check         prospect        E4: how is it going; only once there is usage       host
    community           prospect        E4: where to get answers                            host
    next_steps          prospect        E4: keep it, more time, stop; only with usage       company, host, trial_ends_on
    inactivity_warning  prospect        E5: unused, will be deleted                         host, trial_ends_on, days_left
    terminated          prospect        E6: ended, what to tidy up                          company, host
    disqualified        prospect        E7: run it yourself                                 company
    waitlisted          prospect        no capacity now, the place is kept                  company
    existing_instance   prospect        E8: the company has one already                     company, host
    join_request        instance admin  E9: who wants in, once a day                        host, joiner
    feedback            prospect        E10: what would have made it work                   company
    new_link            prospect        a new reset link                                    host, link
    access, as a copy   the AE          the same without the link                           host
    domain_change       instance admin  A20: what the move breaks, asks for consent         old_host, new_host
    converted           prospect        A17: it stays                                       company, host
    signup_failed       support desk    A21: take over by hand; joiner is the person        event_id, reason

``joiner`` are addresses, one a line. ``join_request`` greets nobody by name: the admin is an address.
Mails about other people name their addresses and nothing that they typed. ``reason`` is shown to our own support desk only: reasons are worded by us for us, never for a customer.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
import textwrap
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import localtime, parseaddr
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, get_args
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib
from css_inline import CSSInliner
from email_validator import validate_email
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.effects.outside_system import OutsideSystem, carries_out
from activities.errors import LONGEST_ANSWER, Unreachable, forbidden, no_answer, refused, unreachable
from activities.remote_listing import begun
from domain import markup
from domain.effects.effect import Receipt
from domain.effects.mail import Mail, Template
from store.crypto.person_keys import PersonKeys
from store.ledger import EffectId, Ledger, NotDone
from store.link_tokens import sign
from store.settings import Settings
from store.vault import Vault

SYSTEM = "Mail"
TEMPLATES = Path(__file__).parent / "templates"
TEXT_WIDTH = 76
#: Puts the stylesheet into the elements, since some mail programs drop it; what it says of the dark and of small screens stays.
INLINER = CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)
TIMEOUT_SECONDS = LONGEST_ANSWER
QUIT_SECONDS = 5
CLOSING = 421
SERVER_TROUBLE = frozenset({CLOSING, 451, 452})  # RFC 5321: the server's own trouble, not the mail's
DEFERRED_RETRY = timedelta(minutes=1)  # servers that greylist take a mail again after some minutes
_ADDRESS = re.compile(
    r"[!-?A-~]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*"
)  # ASCII without blanks; what else may stand before the @ is the server's affair

UNSUBSCRIBE = "unsubscribe"
"""The purpose of the token in an opt-out link; its value is the workflow id."""

NEEDS: dict[Template, frozenset[str]] = {
    "sdr_welcome": frozenset({"company"}),
    "access": frozenset({"host", "link"}),
    "instant_access": frozenset({"company", "host", "link"}),
    "ce_welcome": frozenset({"company", "host"}),
    "connect_code_host": frozenset({"host"}),
    "invite_team": frozenset({"host"}),
    "learn": frozenset({"host"}),
    "usage_check": frozenset({"host"}),
    "community": frozenset({"host"}),
    "next_steps": frozenset({"company", "host", "trial_ends_on"}),
    "inactivity_warning": frozenset({"host", "trial_ends_on", "days_left"}),
    "terminated": frozenset({"company", "host"}),
    "disqualified": frozenset({"company"}),
    "waitlisted": frozenset({"company"}),
    "existing_instance": frozenset({"company", "host"}),
    "join_request": frozenset({"host", "joiner"}),
    "feedback": frozenset({"company"}),
    "new_link": frozenset({"host", "link"}),
    "domain_change": frozenset({"old_host", "new_host"}),
    "converted": frozenset({"company", "host"}),
    "signup_failed": frozenset({"event_id", "reason"}),
}
VALUES = frozenset(
    {
        "ae_name",
        "ce_name",
        "company",
        "days_left",
        "event_id",
        "first_name",
        "host",
        "joiner",
        "new_host",
        "old_host",
        "reason",
        "sdr_name",
        "trial_ends_on",
    }
)


#: The values that people chose or typed; a company whose name was nothing but an address is called so.
NAMES = frozenset({"ae_name", "ce_name", "company", "first_name", "sdr_name"})
NAMELESS = "your company"
LONGEST_REASON = 500


class Rendered(NamedTuple):
    """A mail's words: the subject in one line, and the same message twice."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True)
class Relay:
    """The SMTP server. ``tls``: from the first byte (``on``), by STARTTLS or not at all (``required``), or as it offers (``offered``)."""

    host: str
    port: int
    tls: str
    username: str | None = None
    password: str | None = None

    @classmethod
    def of(cls, url: str) -> Relay:
        """Read ``smtp://[user:password@]host[:port]``; ``smtps://`` is TLS at once, ``smtp://…?starttls=required`` insists on it."""
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ValueError("smtp_url must be smtp://[user:password@]host[:port] or smtps://…")
        required = parse_qs(parts.query).get("starttls", [""])[0] in ("required", "1", "true", "yes")
        tls = "on" if parts.scheme == "smtps" else "required" if required else "offered"
        port = parts.port or {"on": 465, "required": 587, "offered": 25}[tls]
        username = unquote(parts.username) if parts.username else None
        return cls(parts.hostname, port, tls, username, unquote(parts.password) if parts.password else None)


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


class Mailer(OutsideSystem, name="mail", title="Mail"):
    """The relay. A mail is sent at most once as far as SMTP can tell: what was begun and lost goes out again under the same Message-ID.

    Receipts: the Message-ID and the subject line; of campaign mail that somebody stopped, and of any to a person who was erased, only
    ``held``, with the reason.
    """

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger
        self._relay = Relay.of(settings.smtp_url)
        self._brand = (parseaddr(settings.mail_from)[0] or "Tenure").removesuffix(" trials")
        self._templates = compiled(TEMPLATES)
        self._people = PersonKeys(ledger, settings.payload_ring(), settings.key)
        self._vault = Vault(ledger, settings.key())

    @classmethod
    def from_settings(cls, settings: Settings, ledger: Ledger) -> Mailer:
        """The relay that the settings name."""
        return cls(settings, ledger)

    def error(self, error: Exception) -> ApplicationError | None:
        """An SMTP client's exception in Temporal's terms."""
        return error_of(error)

    def _held(self, effect: Mail, effect_id: EffectId) -> str | None:
        """Why a mail is not sent; None when it is."""
        if self._people.erased(effect.to):
            return "whom it is for was erased"
        return self._ledger.suppressed(effect_id.subject) if effect.campaign else None

    def _settled(self, effect: Mail, effect_id: EffectId) -> Receipt | None:
        """The receipt of a mail that is not sent; one that was begun may have been delivered all the same."""
        if (why := self._held(effect, effect_id)) is None:
            return None
        row = begun(self._ledger, effect_id)
        return Receipt(data={"held": why, **({"note": "an earlier attempt may have been delivered"} if row is not None else {})})

    def message_id(self, effect_id: EffectId) -> str:
        """The Message-ID of an effect's mail: the same at every attempt, and nothing to read in it."""
        return f"<{hashlib.sha256(str(effect_id).encode()).hexdigest()[:40]}@{self._settings.vendor_domain}>"

    @carries_out(
        Mail,
        act="mail.sent",
        instead=_settled,
        code=message_id,
        asks="None is possible: SMTP cannot be asked. The ledger's row is the outbox: begun before the server is asked, done once it took "
        "the mail.",
        means="A Message-ID derived from the effect's name, the same at every try, by which mail systems know a mail that comes again.",
        window="The server took the mail and its answer, or our record of it, was lost: it goes out once more under the same Message-ID.",
        told="not told: a mail that was handed over cannot be looked up; the mail server's log knows its Message-ID",
    )
    def _send(self, effect: Mail, effect_id: EffectId) -> Receipt:
        if effect.link:
            self._vault.share(str(effect_id), effect.link, effect.to, effect.link_hours)  # before anybody can have the mail
        message = self.compose(effect, effect_id)
        unreached = self._deliver(message)
        data = {"subject": str(message["Subject"]), "references": str(message.get("References", ""))}
        if unreached:
            activity.logger.warning("the mail server took %s, but not for %d of its addresses", effect_id, len(unreached))
            data["refused"] = ", ".join(unreached)
        return Receipt(ref=str(message["Message-ID"]), data=data)

    # --- The message --------------------------------------------------------------------------------------------------------

    def compose(self, effect: Mail, effect_id: EffectId) -> EmailMessage:
        """The whole message. Raises :class:`NotDone`, for good, when a value is missing or an address is none."""
        words = self.render(effect, effect_id)
        message = EmailMessage(policy=SMTP)
        parent = self._ledger.receipt(EffectId(effect_id.subject, effect.thread)) if effect.thread else None
        parent = parent if parent is not None and parent.ref else None  # one that was held has no Message-ID to refer to
        # Mail programs keep a thread together by the references and by the subject.
        message["Subject"] = words.subject if parent is None else f"Re: {parent.data['subject'].removeprefix('Re: ')}"
        writer = _address(*self._sender(effect))
        # Mail of a person elsewhere would fail the DMARC test there: it is from us, and answered to them (F19).
        message["From"] = writer if self._is_ours(writer) else _address(writer.display_name, parseaddr(self._settings.mail_from)[1])
        message["To"] = _address(markup.name(effect.to_name), effect.to)
        if effect.cc:
            message["Cc"] = [_address("", cc) for cc in effect.cc]
        message["Date"] = localtime()
        message["Message-ID"] = self.message_id(effect_id)
        if parent is not None:
            message["In-Reply-To"] = parent.ref
            message["References"] = f"{parent.data['references']} {parent.ref}".strip()
        if effect.sender is None:
            # Nobody sits behind our default sender: people's answers go to the support desk, and programs shall not answer at all.
            message["Reply-To"] = _address("", self._settings.support_email)
            message["Auto-Submitted"] = "auto-generated"
        elif not self._is_ours(writer):
            message["Reply-To"] = writer
        if effect.campaign:
            # One click in the mail program opts out, by a POST to the same address (RFC 8058).
            message["List-Unsubscribe"] = f"<{self.unsubscribe_url(effect_id.subject)}>"
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message.set_content(words.text, cte="quoted-printable")
        message.add_alternative(words.html, subtype="html", cte="quoted-printable")
        return message

    def render(self, effect: Mail, effect_id: EffectId) -> Rendered:
        """The words of a mail."""
        context = self._context(effect, effect_id)
        template = self._templates.get_template(f"{effect.template}.txt.j2")
        subject = " ".join("".join(template.blocks["subject"](template.new_context(context))).split())
        html = self._templates.get_template(f"{effect.template}.html.j2").render(context, subject=subject)
        return Rendered(subject, wrapped(template.render(context)), INLINER.inline(html))

    def _context(self, effect: Mail, effect_id: EffectId) -> dict[str, Any]:
        named = effect.values | {name: self._named(effect, name) for name in NAMES & effect.values.keys()}
        named |= {name: markup.name(effect.values[name], LONGEST_REASON) for name in ("reason",) if name in effect.values}
        named |= {name: "\n".join(map(markup.address, effect.values[name].splitlines())) for name in ("joiner",) if name in effect.values}
        values = {name: value.strip() for name, value in named.items()}
        if unknown := values.keys() - VALUES:
            raise refused(
                SYSTEM, f"the {effect.template} mail cannot take {', '.join(sorted(unknown))}; known are {', '.join(sorted(VALUES))}"
            )
        given = {name for name, value in {**values, "link": effect.link}.items() if value}
        if effect.link and (effect.cc or effect.copy_of):
            raise refused(SYSTEM, f"the {effect.template} mail has a link, which is for the admin alone: send others a copy without it")
        if missing := NEEDS[effect.template] - given - ({"link"} if effect.copy_of else set()):
            raise refused(SYSTEM, f"the {effect.template} mail needs a value for {', '.join(sorted(missing))}", kind="MissingValue")
        optional = dict.fromkeys(("first_name", "ae_name", "ce_name", "sdr_name", "trial_ends_on", "company", "joiner"), "")
        settings = self._settings
        return {
            **optional,
            **values,
            "link_url": f"{settings.web_url.rstrip('/')}/s/{self._vault.token(str(effect_id))}" if effect.link else "",
            "link_hours": effect.link_hours,
            "copy_of": effect.copy_of,
            "host_url": self._host_url(values.get("host", "")),
            "unsubscribe_url": self.unsubscribe_url(effect_id.subject) if effect.campaign else "",
            "feedback_url": self._signed("feedback", effect_id.subject) if effect.template == "feedback" else "",
            "support_email": settings.support_email,
            "docs_url": f"https://docs.{settings.vendor_domain}",
            "sender_name": self._sender(effect)[0] or self._brand,
            "brand": self._brand,
        }

    def _named(self, effect: Mail, what: str) -> str:
        """A name as it may stand in this mail. The company may be called by the domain that the reader's own address has."""
        given = effect.values[what].strip()
        own = what == "company" and given.lower() == effect.to.rpartition("@")[2].strip().lower()
        return given if own else markup.name(given) or (NAMELESS if what == "company" and given else "")

    def _is_ours(self, writer: Address) -> bool:
        domain, ours = writer.domain.lower(), self._settings.vendor_domain.lower()
        return domain == ours or domain.endswith(f".{ours}") or domain == parseaddr(self._settings.mail_from)[1].rpartition("@")[2].lower()

    def _host_url(self, host: str) -> str:
        try:
            return self._settings.instance(host) if host else ""
        except ValueError as error:
            raise refused(SYSTEM, str(error)) from None

    def _sender(self, effect: Mail) -> tuple[str, str]:
        if effect.sender is None:
            return parseaddr(self._settings.mail_from)
        return markup.name(effect.sender[0]), effect.sender[1]

    def unsubscribe_url(self, subject: str) -> str:
        """The opt-out link of a subject's campaign mail."""
        return self._signed(UNSUBSCRIBE, subject, path="u")

    def _signed(self, purpose: str, subject: str, path: str = "") -> str:
        """A link of ours that names a subject's workflow and that nobody else can make."""
        workflow_id = subject.rpartition("/")[0] or subject
        return f"{self._settings.web_url.rstrip('/')}/{path or purpose}/{sign(self._settings.key(), purpose, workflow_id)}"

    # --- Sending ------------------------------------------------------------------------------------------------------------

    def _deliver(self, message: EmailMessage) -> list[str]:
        """Hand the message over; returns the addresses that the server did not take although it took the others."""
        # A loop of its own, since the thread of the pool has none; made by a factory, so that it never becomes the thread's default.
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            return runner.run(self._submit(message))

    async def _submit(self, message: EmailMessage) -> list[str]:
        relay = self._relay
        server = aiosmtplib.SMTP(
            hostname=relay.host,
            port=relay.port,
            use_tls=relay.tls == "on",
            start_tls={"on": False, "required": True, "offered": None}[relay.tls],
            username=relay.username,
            password=relay.password,
            timeout=TIMEOUT_SECONDS,
        )
        await server.connect()
        try:
            problems, _ = await server.send_message(message)
            with suppress(aiosmtplib.SMTPException, OSError):  # a lost farewell must not make a mail that was taken look unsent
                await server.quit(timeout=QUIT_SECONDS)
        finally:
            server.close()
        return sorted(problems)


def wrapped(text: str) -> str:
    """The text with each line folded to a readable width; list items hang, and an address is never broken."""

    def fold(line: str) -> str:
        if line == "-- ":  # the mark before a signature ends in a blank (RFC 3676)
            return line
        hang = "  " if line.startswith("- ") else ""
        return textwrap.fill(line, TEXT_WIDTH, subsequent_indent=hang, break_long_words=False, break_on_hyphens=False)

    folded = "\n".join(map(fold, text.splitlines()))
    return re.sub(r"\n{3,}", "\n\n", folded).strip() + "\n"


def _address(name: str, email: str) -> Address:
    """An address for a header. What could begin another header, or is no address, is refused for good."""
    try:
        local, at, domain = email.strip().rpartition("@")
        if not domain.isascii():  # by the rules of today: in the older ones faß.example is fass.example, which is somebody else's
            domain = validate_email(f"name@{domain}", check_deliverability=False).ascii_domain
        spec = f"{local}{at}{domain}"
        if not _ADDRESS.fullmatch(spec):
            raise ValueError(f"{email!r} is not an e-mail address that can be written to")
        shown = "".join(sign if sign.isprintable() else " " for sign in name)
        return Address(display_name=" ".join(shown.split()), addr_spec=spec)
    except (ValueError, MessageError, IndexError) as error:
        raise refused(SYSTEM, f"{error}; correct the address", kind="InvalidAddress") from None


def error_of(error: Exception) -> ApplicationError | None:
    """An SMTP client's exception in Temporal's terms: 4xx is for now, 5xx for good."""
    match error:
        case aiosmtplib.SMTPAuthenticationError():
            return forbidden(SYSTEM, f"{error.code} {error.message}")
        case aiosmtplib.SMTPRecipientsRefused():
            first = error.recipients[0]
            code = max(one.code for one in error.recipients)
            return _replied(code, f"{first.recipient}: {first.message}", every_mail=code == CLOSING)
        case aiosmtplib.SMTPResponseException():
            every_mail = error.code in SERVER_TROUBLE or not isinstance(error, aiosmtplib.SMTPDataError)
            return _replied(error.code, error.message, every_mail=every_mail)
        case aiosmtplib.SMTPConnectError() | aiosmtplib.SMTPConnectTimeoutError():
            return unreachable(SYSTEM, error.message)
        case aiosmtplib.SMTPNotSupported():
            return forbidden(SYSTEM, f"{error.message}; check the scheme and the login of TENURE_SMTP_URL")
        case ssl.SSLError():
            return unreachable(SYSTEM, str(error))
        case aiosmtplib.SMTPException() | OSError():
            return no_answer(SYSTEM, f"{type(error).__name__}: {error}")
    return None


def _replied(code: int, words: str, *, every_mail: bool) -> ApplicationError:
    """The server's reply, which settles that the mail was not taken; where it puts off ``every_mail``, the server is held."""
    text = f"{code} {' '.join(words.split())}"[:300]
    if code >= 500:
        return refused(SYSTEM, text)
    kind = Unreachable if every_mail else NotDone
    return kind(f"{SYSTEM} was deferred by the server: {text}", type=f"{SYSTEM}Deferred", next_retry_delay=DEFERRED_RETRY)
