"""What people may have done about their data: erased by `tenure forget`. Whoever comes back by themselves is taken in again (:meth:`Signups.comes`)."""

from activities.erasure import forget as erase
from domain import ids
from domain.base import Value
from domain.rights import Action
from starter.errors import BadInput, NotFound, Refused, Unavailable
from starter.service.kept_requests import Spool
from starter.service.tenure import Tenure
from store.crypto.tokenize import is_outsider


class Erasure(Value):
    """What `tenure forget` did. ``rows``: rows of the ledger that were overwritten, by table. ``notes`` say in words what follows from it."""

    email: str
    placeholder: str
    anything: bool
    rows: dict[str, int]
    notes: tuple[str, ...]


async def forget(tenure: Tenure, email: str, by: str = "") -> Erasure:
    """Erase one person; who has it done is on the audit. Raises :class:`Refused` for one of our own staff, :class:`BadInput` for what is no address."""
    address = email.strip()
    if ids.is_erased(address):
        raise BadInput("this address stands for somebody who was erased already", "Nothing is left to do", field="email")
    key = tenure.key_of(address)
    if not is_outsider(address, tenure.settings.vendor_domain):
        raise Refused(f"{address} is one of our own staff", "Staff stand in the CRM: remove them there, the hourly copy follows")
    everybody = tenure.person_keys
    if everybody is None:
        raise Unavailable("this client encrypts nothing", "Run it as `tenure forget`")
    contact, is_open = await _contact_of(tenure, key)
    mine = None if contact is None else contact.lower() in (address.lower(), ids.erased(address))
    async with tenure.authorization.operating(tenure.caller, Action.FORGET, by=by, what=f"erase {address}", subject=ids.trial(key)):
        done = await tenure.read(lambda: erase(tenure.ledger, everybody, address, key=key, contact=mine))
    Spool(tenure.settings.data_dir).erase(address)
    notes = ["no mail goes to them any more, unless they sign up again themselves"]
    if mine and is_open:
        notes += [
            f"they are the contact of the open trial {ids.trial(key)}: it goes on by its days and decides as before, in silence towards them",
            f"a colleague who signs up is sent to its instance; a CE ends it with `tenure trial terminate {ids.trial(key) if '@' in key else key}`",
        ]
    notes.append("workers that run see it within half a minute; run this again then, and nothing is left that was under way")
    return Erasure(email=address, placeholder=ids.erased(address), anything=done.anything, rows=done.rows, notes=tuple(notes))


async def _contact_of(tenure: Tenure, key: str) -> tuple[str | None, bool]:
    """Who the contact of the company's newest trial is, and whether it is open; None when nobody can tell."""
    try:
        view = await tenure.trial(key)
    except (TimeoutError, NotFound, Unavailable):
        return None, False
    return view.status.contact, view.open
