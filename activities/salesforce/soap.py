"""``convertLead`` of Salesforce's SOAP API: what is sent, and what comes back."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import NamedTuple

import requests

SOAP = "urn:partner.soap.sforce.com"
ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"


class SoapFault(Exception):
    """A refusal in the SOAP API: Salesforce's code, as ``UNABLE_TO_LOCK_ROW``, and its words. ``status`` is the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 200) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class Converted(NamedTuple):
    """What a converted lead became."""

    account: str
    contact: str
    opportunity: str


def envelope(session_id: str, wanted: Mapping[str, str]) -> bytes:
    """The SOAP request. Its elements must come in the order of the WSDL, which is that of the alphabet."""
    envelope = ET.Element(f"{{{ENVELOPE}}}Envelope")
    header = ET.SubElement(ET.SubElement(envelope, f"{{{ENVELOPE}}}Header"), f"{{{SOAP}}}SessionHeader")
    ET.SubElement(header, f"{{{SOAP}}}sessionId").text = session_id
    convert = ET.SubElement(ET.SubElement(envelope, f"{{{ENVELOPE}}}Body"), f"{{{SOAP}}}convertLead")
    lead = ET.SubElement(convert, f"{{{SOAP}}}leadConverts")
    for name, value in sorted(wanted.items()):
        if value:
            ET.SubElement(lead, f"{{{SOAP}}}{name}").text = value
    return bytes(ET.tostring(envelope, encoding="utf-8", xml_declaration=True))


def converted(answer: requests.Response) -> Converted:
    """What the lead became. Raises :class:`SoapFault`, or what ``requests`` raises for an answer that is none of SOAP."""
    if answer.status_code not in (200, 500):  # a fault of SOAP comes with 500
        answer.raise_for_status()
    try:
        root = ET.fromstring(answer.content)  # noqa: S314 - from the CRM that we are logged in to; expat refuses entity bombs
    except ET.ParseError:
        answer.raise_for_status()
        raise

    def text(name: str) -> str:
        return next((found.text or "" for found in root.iter() if found.tag.rpartition("}")[2] == name), "")

    if code := text("faultcode"):
        raise SoapFault(text("exceptionCode") or code.rpartition(":")[2], text("faultstring"), answer.status_code)
    if text("success") != "true":
        raise SoapFault(text("statusCode") or "UNKNOWN", text("message"))
    return Converted(text("accountId"), text("contactId"), text("opportunityId"))
