"""What a workflow asks of the registry: Tenure's own table of instances and people, in the ledger's database."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from domain.base import Message
from domain.people import Owners


class AskOwners(Message):
    """Choose the owners of a trial and count the assignment; the same subject gets the same answer again.

    A ``domain`` that has an instance keeps the owners of the trial in which it got it. ``appointed`` are those whom sales ops named by hand:
    ``sdr``, ``ae``, ``ce``, each with an address. ``peek``: say who it would be, and count nothing.
    """

    subject: str
    as_of: datetime
    domain: str = ""
    account: str = ""
    named_sdr: str | None = None
    ae: str | None = None
    ce: str | None = None
    ce_email: str = ""
    appointed: dict[str, str] = {}
    peek: bool = False


class ClaimInstance(Message):
    """Take a warm instance for a domain, or reserve room for one that will be made (``warm=False``).

    With ``owners``, a claim that succeeds chooses the trial's owners, too. In one transaction: never two domains to one instance, never two instances to one domain, never past ``cap``.
    """

    subject: str
    domain: str
    admin: str
    cap: int
    warm: bool
    host: str = ""
    as_of: datetime
    owners: AskOwners | None = None


#: ``OWNED``: the domain has an instance already. ``FULL``: the cap is reached. ``EMPTY``: no warm instance is left.
ClaimOutcome = StrEnum("ClaimOutcome", "CLAIMED OWNED FULL EMPTY")


class Claimed(Message):
    """What the registry answers to a claim.

    ``subject`` is whose ``host`` is; answers from before that was told have none.
    """

    outcome: ClaimOutcome
    host: str = ""
    subject: str = ""
    kind: str = ""
    live: int = 0
    warm: int = 0
    owners: Owners | None = None


class RegistryChange(Message):
    """What became of a domain's instance in the registry.

    ``release`` frees domain and capacity and names the next waiting domain; ``convert`` keeps the domain, as a paid instance, and stops the campaign;
    ``rehost`` gives it another host; ``ready`` records the host that the Cloud team made; ``wait`` queues the domain for capacity;
    ``stop_mail`` holds back campaign mail from now on; ``confirm`` notes that the admin reads their mail; ``pass_on`` gives a claim that
    nobody confirmed to the next of the company, ``admin``; ``admin`` corrects the address of the instance's admin, for the ``number``-th time.
    """

    subject: str
    domain: str
    as_of: datetime
    change: Literal["release", "convert", "rehost", "ready", "wait", "leave_queue", "stop_mail", "confirm", "pass_on", "admin"]
    host: str = ""
    admin: str = ""
    why: str = ""
    number: int = 0


class AskHost(Message):
    """Ask at which host the instance of a domain is."""

    domain: str


class RegistryAnswer(Message):
    """``waiting``: the domain that waits longest for capacity, after a release."""

    waiting: str = ""
