"""The two SOAP calls that REST has no counterpart for: ``login``, and ``convertLead``, which is the only standard way to convert a lead.

Faults carry ``sf:exceptionCode`` and HTTP 500; what fails for one lead is told in its result, with HTTP 200.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from sandbox.salesforce_store import Org
from sandbox.salesforce_values import Refusal

_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"{spaces}>'
    "<soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
)
_PARTNER = ' xmlns="urn:partner.soap.sforce.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
_FAULT = ' xmlns:sf="urn:fault.partner.soap.sforce.com"'


@dataclass(frozen=True)
class Call:
    """A SOAP request: the operation, the session it came with, its parameters as a tree of texts without namespaces."""

    operation: str
    session: str
    body: ElementTree.Element

    def text(self, name: str) -> str:
        """The text of the first element of that name."""
        return _text(self.body, name)


@dataclass(frozen=True)
class Conversion:
    """What one ``leadConverts`` asks."""

    lead_id: str
    status: str
    account_id: str = ""
    contact_id: str = ""
    opportunity_name: str = ""
    owner_id: str = ""
    no_opportunity: bool = field(default=False)


def read_call(raw: bytes) -> Call | None:
    """Read an envelope, None when it is none."""
    try:
        root = ElementTree.fromstring(raw)  # noqa: S314 - only what a developer's own client sends
    except ElementTree.ParseError:
        return None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    body = root.find("Body")
    if body is None or len(body) == 0:
        return None
    return Call(body[0].tag, _text(root, "sessionId"), body[0])


def conversions(call: Call) -> list[Conversion]:
    """Every lead that a ``convertLead`` asks to convert."""
    return [
        Conversion(
            _text(each, "leadId"),
            _text(each, "convertedStatus"),
            _text(each, "accountId"),
            _text(each, "contactId"),
            _text(each, "opportunityName"),
            _text(each, "ownerId"),
            _text(each, "doNotCreateOpportunity").lower() in ("true", "1"),
        )
        for each in call.body.iter("leadConverts")
    ]


def convert(org: Org, asked: list[Conversion]) -> str:
    """Convert each lead by itself and answer with one result each, in order."""
    results = []
    for one in asked:
        try:
            made = org.convert(
                one.lead_id, one.status, one.account_id, one.contact_id, one.opportunity_name, one.owner_id, one.no_opportunity
            )
        except Refusal as error:
            fields = "".join(f"<fields>{escape(name)}</fields>" for name in error.fields)
            results.append(
                f'<result><accountId xsi:nil="true"/><contactId xsi:nil="true"/><errors>{fields}<message>{escape(error.message)}</message>'
                f"<statusCode>{error.code}</statusCode></errors><leadId>{escape(one.lead_id)}</leadId>"
                '<opportunityId xsi:nil="true"/><success>false</success></result>'
            )
        else:
            results.append("<result>" + "".join(_element(name, value) for name, value in made.items()) + "<success>true</success></result>")
    return _answer(f"<convertLeadResponse>{''.join(results)}</convertLeadResponse>")


def login_answer(session: str, server_url: str, user_id: str) -> str:
    """The answer to a login that succeeded."""
    return _answer(
        "<loginResponse><result>"
        f"<metadataServerUrl>{escape(server_url)}</metadataServerUrl><passwordExpired>false</passwordExpired><sandbox>true</sandbox>"
        f"<serverUrl>{escape(server_url)}</serverUrl><sessionId>{escape(session)}</sessionId><userId>{user_id}</userId>"
        "</result></loginResponse>"
    )


def fault(code: str, message: str) -> str:
    """A SOAP fault; sent with HTTP 500."""
    body = (
        f"<soapenv:Fault><faultcode>sf:{code}</faultcode><faultstring>{code}: {escape(message)}</faultstring><detail><sf:fault>"
        f"<sf:exceptionCode>{code}</sf:exceptionCode><sf:exceptionMessage>{escape(message)}</sf:exceptionMessage>"
        "</sf:fault></detail></soapenv:Fault>"
    )
    return _ENVELOPE.format(spaces=_FAULT, body=body)


def _answer(body: str) -> str:
    return _ENVELOPE.format(spaces=_PARTNER, body=body)


def _element(name: str, value: str) -> str:
    return f"<{name}>{escape(value)}</{name}>" if value else f'<{name} xsi:nil="true"/>'


def _text(element: ElementTree.Element, name: str) -> str:
    found = next(element.iter(name), None)
    return (found.text or "").strip() if found is not None else ""
