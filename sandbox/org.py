"""The invented vendor that the sandbox is seeded with: its people, its campaign and a few customer accounts.

Every person is named by role, every domain is under ``.example``. Salesforce holds them as records; a chat stand-in can take its
members from :data:`PEOPLE`, so that an e-mail address found in one system is known in the other.
"""

from __future__ import annotations

from dataclasses import dataclass

MAIL_DOMAIN = "tenure.example"
CAMPAIGN = "Cloud trial signup"


@dataclass(frozen=True)
class Person:
    """One employee: ``handle`` is the mailbox, ``role`` the value of ``Tenure_Role__c``, ``ce`` and ``manager`` are handles."""

    handle: str
    name: str
    role: str
    region: str = "AMER"
    ce: str = ""
    manager: str = ""

    @property
    def email(self) -> str:
        """The address at the vendor's mail domain."""
        return f"{self.handle}@{MAIL_DOMAIN}"

    @property
    def slack_id(self) -> str:
        """A stable member id in the form that the chat system uses."""
        return "U" + self.handle.upper().replace("-", "").replace("_", "")[:10].ljust(10, "0")


PEOPLE: tuple[Person, ...] = (
    Person("cloud-oncall", "Cloud On-call", "cloud"),
    Person("support-desk", "Support Desk", "support"),
    Person("growth-team", "Growth Team", "growth"),
    Person("ae-manager", "Manager of AEs", "ae_manager"),
    Person("ce-manager", "Manager of CEs", "ce_manager"),
    Person("sdr-iris", "Iris Inbound", "inbound_sdr", "AMER", manager="growth-team"),
    Person("sdr-noor", "Noor Inbound", "inbound_sdr", "EMEA", manager="growth-team"),
    Person("sdr-otto", "Otto Inbound", "inbound_sdr", "APAC", manager="growth-team"),
    Person("named-lena", "Lena Named", "named_sdr", "AMER", manager="growth-team"),
    Person("named-hugo", "Hugo Named", "named_sdr", "EMEA", manager="growth-team"),
    Person("ce-ada", "Ada Engineer", "ce", "AMER", manager="ce-manager"),
    Person("ce-boris", "Boris Engineer", "ce", "EMEA", manager="ce-manager"),
    Person("ce-chloe", "Chloe Engineer", "ce", "APAC", manager="ce-manager"),
    Person("ce-dev", "Dev Engineer", "ce", "AMER", manager="ce-manager"),
    Person("ae-mira", "Mira Executive", "ae", "AMER", ce="ce-ada", manager="ae-manager"),
    Person("ae-tariq", "Tariq Executive", "ae", "EMEA", ce="ce-boris", manager="ae-manager"),
    Person("ae-jonas", "Jonas Executive", "ae", "APAC", ce="ce-chloe", manager="ae-manager"),
    Person("ae-wen", "Wen Executive", "ae", "AMER", ce="ce-dev", manager="ae-manager"),
    Person("sales-lead", "Lead of Sales", "sales_leadership"),
    Person("ts-lead", "Lead of Technical Success", "ts_leadership"),
    Person("ta-manager", "Manager of TAs", "ta_manager", manager="ts-lead"),
    Person("ta-paz", "Paz Advisor", "ta", "AMER", manager="ta-manager"),
    Person("ta-rune", "Rune Advisor", "ta", "EMEA", manager="ta-manager"),
    Person("ta-kaia", "Kaia Advisor", "ta", "APAC", manager="ta-manager"),
    Person("ta-sol", "Sol Advisor", "ta", "AMER", manager="ta-manager"),
    Person("exec-vega", "Vega Sponsor", "exec_sponsor", "AMER"),
    Person("exec-onyx", "Onyx Sponsor", "exec_sponsor", "EMEA"),
    Person("finance-desk", "Finance Desk", "finance"),
    Person("sales-ops", "Sales Operations", "sales_ops"),
)


@dataclass(frozen=True)
class KnownAccount:
    """One account that exists before any trial. ``named`` accounts are prequalified, and an SDR, an AE and a CE own them."""

    name: str
    domain: str
    named: bool = False
    prequalified: bool = False
    sdr: str = ""
    ae: str = ""
    ce: str = ""


ACCOUNTS: tuple[KnownAccount, ...] = (
    KnownAccount("Borealis Robotics", "borealis.example", True, True, "named-lena", "ae-mira", "ce-ada"),
    KnownAccount("Cobalt Freight", "cobalt.example", True, True, "named-hugo", "ae-tariq", "ce-boris"),
    KnownAccount("Halcyon Bank", "halcyon.example", True, True, "named-lena", "ae-wen", "ce-dev"),
    KnownAccount("Juniper Grid", "juniper-grid.example", True, True, "named-hugo", "ae-jonas", "ce-chloe"),
    KnownAccount("Dune Analytics Works", "dune.example", prequalified=True, ae="ae-jonas", ce="ce-chloe"),
    KnownAccount("Ember Games", "ember.example", prequalified=True, ae="ae-wen", ce="ce-dev"),
    KnownAccount("Kestrel Health", "kestrel.example", prequalified=True, ae="ae-mira", ce="ce-ada"),
    KnownAccount("Lumen Textiles", "lumen.example", prequalified=True, ae="ae-tariq", ce="ce-boris"),
    KnownAccount("Fjord Shipping", "fjord.example", ae="ae-tariq", ce="ce-boris"),
    KnownAccount("Glade Foods", "glade.example"),
    KnownAccount("Meridian Maps", "meridian.example"),
    KnownAccount("Orchard Payments", "orchard.example"),
)
