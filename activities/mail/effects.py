"""E-mail: every mail of the trial, from a template, in plain text and HTML (handbook 2.3, E1 to E10).

SMTP cannot be asked whether a mail was sent. So the Message-ID is derived from the effect's name: a mail that is sent again after a
lost answer carries the same one, by which mail systems recognise it, and later mails of a thread refer to it.
"""

import hashlib
import re
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import localtime, parseaddr
from typing import Any, NamedTuple

from email_validator import validate_email
from temporalio import activity

from activities.asking import begun
from activities.effects.outside_system import OutsideSystem, carries_out
from activities.errors import refused
from activities.mail.relay import SYSTEM, Relay, error_of
from activities.mail.words import INLINER, NAMES, NEEDS, OPTIONAL, TEMPLATES, VALUES, compiled, wrapped
from domain import markup
from domain.effects.effect import Receipt
from domain.effects.mail import Mail
from store.access import sign
from store.crypto.person_keys import PersonKeys
from store.ledger import EffectId, Ledger
from store.settings import Settings
from store.vault import Vault

#: ASCII without blanks; what else may stand before the @ is the server's affair.
_ADDRESS = re.compile(r"[!-?A-~]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")

UNSUBSCRIBE = "unsubscribe"
"""The purpose of the token in an opt-out link; its value is the workflow id."""

NAMELESS = "your company"
"""What a company is called whose name was nothing but an address."""

LONGEST_REASON = 500


class Rendered(NamedTuple):
    """A mail's words: the subject in one line, and the same message twice."""

    subject: str
    text: str
    html: str


class Mailer(OutsideSystem, name="mail", title="Mail"):
    """The relay. A mail is sent at most once as far as SMTP can tell: what was begun and lost goes out again under the same Message-ID.

    Receipts: the Message-ID and the subject line; of campaign mail that somebody stopped, and of any to a person who was erased, only
    ``held``, with the reason.
    """

    error = staticmethod(error_of)

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        super().__init__(settings, ledger)
        self._relay = Relay.of(settings.smtp_url)
        self._brand = (parseaddr(settings.mail_from)[0] or "Tenure").removesuffix(" trials")
        self._templates = compiled(TEMPLATES)
        self._people = PersonKeys(ledger, settings.payload_ring(), settings.key)
        self._vault = Vault(ledger, settings.key())

    def _settled(self, effect: Mail, effect_id: EffectId) -> Receipt | None:
        """The receipt of a mail that is not sent; one that was begun may have been delivered all the same."""
        why = self._ledger.suppressed(effect_id.subject) if effect.campaign else None
        if self._people.erased(effect.to):
            why = "whom it is for was erased"
        if why is None:
            return None
        note = {"note": "an earlier attempt may have been delivered"} if begun(self._ledger, effect_id) is not None else {}
        return Receipt(data={"held": why, **note})

    def message_id(self, effect_id: EffectId) -> str:
        """The Message-ID of an effect's mail: the same at every attempt, and nothing to read in it."""
        return f"<{hashlib.sha256(str(effect_id).encode()).hexdigest()[:40]}@{self._settings.vendor_domain}>"

    @carries_out(Mail, act="mail.sent", instead=_settled, code=message_id)
    def _send(self, effect: Mail, effect_id: EffectId) -> Receipt:
        if effect.link:
            self._vault.share(str(effect_id), effect.link, effect.to, effect.link_hours)  # before anybody can have the mail
        message = self.compose(effect, effect_id)
        unreached = self._relay.deliver(message)
        data = {"subject": str(message["Subject"]), "references": str(message.get("References", ""))}
        if unreached:
            activity.logger.warning("the mail server took %s, but not for %d of its addresses", effect_id, len(unreached))
            data["refused"] = ", ".join(unreached)
        return Receipt(ref=str(message["Message-ID"]), data=data)

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
        values = {name: self._plain(effect, name).strip() for name in effect.values}
        if unknown := values.keys() - VALUES:
            known = f"known are {', '.join(sorted(VALUES))}"
            raise refused(SYSTEM, f"the {effect.template} mail cannot take {', '.join(sorted(unknown))}; {known}")
        given = {name for name, value in {**values, "link": effect.link}.items() if value}
        if effect.link and (effect.cc or effect.copy_of):
            raise refused(SYSTEM, f"the {effect.template} mail has a link, which is for the admin alone: send others a copy without it")
        if missing := NEEDS[effect.template] - given - ({"link"} if effect.copy_of else set()):
            raise refused(SYSTEM, f"the {effect.template} mail needs a value for {', '.join(sorted(missing))}", kind="MissingValue")
        settings = self._settings
        return {
            **dict.fromkeys(OPTIONAL, ""),
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

    def _plain(self, effect: Mail, what: str) -> str:
        """A value as it may stand in this mail: what people typed is words. A company may be called by the domain of the reader's own address."""
        given = effect.values[what].strip()
        if what == "reason":
            return markup.name(given, LONGEST_REASON)
        if what == "joiner":
            return "\n".join(map(markup.address, given.splitlines()))
        if what not in NAMES:
            return given
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
