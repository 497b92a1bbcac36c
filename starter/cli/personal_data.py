"""The commands about personal data: erasing one person, the keys, and who owns what."""

import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Annotated, Any

import typer

from domain import ids, markup
from starter import startup
from starter.cli.base import By, Json, argument, ask, emit, say
from starter.cli.parts import dim
from starter.errors import BadInput, NotFound, Refused
from starter.service import erasure
from starter.service.bootstrap import find
from starter.service.erasure import Erasure
from store.crypto.key_ring import LOOK_AGAIN, VARIABLE, NotKept, new_key
from store.crypto.person_keys import PersonKeys
from store.ledger import Ledger

keys = typer.Typer(help="The keys that everything is encrypted with on its way to Temporal.")


def forget(
    email: Annotated[str, argument("EMAIL", "Whose data is to be erased.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")] = False,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Erase one person for good: their key, and their texts in the ledger. Nobody can bring them back."""
    if not yes:
        if not sys.stdin.isatty():
            raise BadInput("nobody is here to say that it is meant", "Add --yes")
        typer.confirm(f"Erase {email} for good?", abort=True, err=True)
    emit(ask(lambda tenure: erasure.forget(tenure, email, by)), as_json, _forgotten)


def _forgotten(done: Erasure) -> Iterator[Any]:
    if not done.anything:
        yield f"Nothing is left of {done.email}."
        return
    yield f"Erased: {done.email}, whose key is gone; {done.placeholder} stands where they stood."
    for table, number in sorted(done.rows.items()):
        yield dim(f"  {markup.counted(number, 'row')} of {table.replace('_', ' ')} overwritten")
    yield from (f"→ {note}" for note in done.notes)


def whois(who: Annotated[str, argument("WHO", "A colleague's address, or a handle like p-3f9a1c.")], as_json: Json = False) -> None:
    """Tell the handle under which a colleague owns workflows in Temporal, or whose a handle is."""
    staff = ask(lambda tenure: tenure.staff())
    named = who.strip().lower()
    found = {handle: email for handle, email in staff.items() if named in (handle, email.lower())}
    if not found:
        do = "The hourly copy of the CRM knows our people; `tenure trial list` shows owners"
        raise NotFound(f"nobody of our staff is {who[:80]}", do)
    [(handle, email)] = found.items()
    answer = {"email": email, "handle": ids.handle(email), "query": f'Owner = "{handle}"'}
    say(f"{email} owns workflows as {handle}: {answer['query']}", as_json, answer)


@keys.command("list")
def keys_list(as_json: Json = False) -> None:
    """List the keys on the ring, newest first; never what they are."""
    ring = find().settings.payload_ring()
    rows = [{"id": key.id, "use": "encrypts" if number == 0 else "opens"} for number, key in enumerate(ring.keys)]
    where = str(ring.path) if ring.kept else "TENURE_PAYLOAD_KEYS"
    lines = [f"{row['id']}  {row['use']}" for row in rows]
    say("\n".join([*lines, f"kept in {where}"]), as_json, {"kept_in": where, "keys": rows})


@keys.command("rotate")
def keys_rotate(as_json: Json = False) -> None:
    """Put a new key in front of the ring that is kept in the data directory; the old ones go on opening what they encrypted."""
    settings = find().settings
    startup.check(settings)
    ring = settings.payload_ring()
    try:
        new = ring.rotate()
    except NotKept:
        do = f"Put a key of `tenure keys new` in front of {VARIABLE} of every process, and start them again: those that only read first"
        raise Refused(f"the ring comes from {VARIABLE}, which no command can change", do) from None
    with closing(Ledger(settings.ledger_url)) as ledger:
        ledger.check()
        wrapped = PersonKeys(ledger, ring, settings.key).rewrap()
    seen = f"running processes use it within {LOOK_AGAIN:.0f} seconds, without a restart"
    answer = {"id": new.id, "keys": len(ring.keys), "people": wrapped, "message": f"{new.id} encrypts from now on; {seen}"}
    words = f"{answer['message']}. {wrapped} people's keys were wrapped anew; {len(ring.keys)} keys are on the ring."
    say(words, as_json, answer)


@keys.command("new")
def keys_new(as_json: Json = False) -> None:
    """Print a new key for TENURE_PAYLOAD_KEYS; it is kept nowhere."""
    made = new_key().text()
    say(made, as_json, {"key": made}, unbroken=True)


@keys.command("token")
def keys_token(as_json: Json = False) -> None:
    """Print the token that opens the codec endpoint, for TEMPORAL_CODEC_AUTH="Bearer …"."""
    token = find().settings.codec_secret()
    say(token, as_json, {"token": token}, unbroken=True)
