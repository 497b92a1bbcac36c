"""What happens to every value on its way to Temporal and back: the one data converter of all processes (docs/personal-data.md).

On the way out: what is personal is cut out of the JSON and sealed under the key of its person, the rest is compressed when that pays, and
all of it is encrypted with the newest key of the ring::

    metadata  encoding: binary/encrypted, key-id: the ring's key
    data      nonce, then AES-256-GCM of: 0 or 1 (compressed), and the inner payload
    inner     the payload as it was, with tokens; its metadata also has tenure-people: a line of JSON with a reference for each person, the
              length of their sealed texts, and what stands in for each once the person's key is gone; then the sealed texts

On the way back a payload without that encoding passes through: histories from before replay. Errors, with their stack traces, travel the
same way. Search attributes do not: the server must read them, and they name nobody (``workflows/frame/search_attributes.py``).
"""

import asyncio
import dataclasses
import json
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import (
    ActivitySerializationContext,
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
)

from domain import ids
from store.crypto import tokenize
from store.crypto.key_ring import KeyRing
from store.crypto.person_keys import PersonKeys, Someone
from store.ledger import Ledger
from store.settings import Settings

ENCODING = b"binary/encrypted"
PEOPLE = "tenure-people"
#: Encodings whose data is JSON.
_JSON = (b"json/plain", b"json/protobuf")
#: Bytes below which compressing never pays, and how hard it tries.
_WORTHWHILE = 120
_LEVEL = 1
#: Workflows whose people one process remembers, and people of one workflow.
MOST_WORKFLOWS = 10_000
MOST_PEOPLE = 32

#: Of one person in a payload: their reference, their sealed texts, and what stands in for each.
_Carried = tuple[str, bytes, list[str]]


def data_converter(settings: Settings, ledger: Ledger) -> DataConverter:
    """The way of every value to Temporal and back, for clients, workers and tests alike. The ledger is not touched before it is needed."""
    ring = settings.payload_ring()
    codec = Codec(ring, PersonKeys(ledger, ring, settings.key), settings.vendor_domain)
    failures = DefaultFailureConverterWithEncodedAttributes
    return dataclasses.replace(pydantic_data_converter, payload_codec=codec, failure_converter_class=failures)


class Codec(PayloadCodec, WithSerializationContext):
    """Encrypts and decrypts. It knows for each workflow whose data it carries, so that a name is found where no address stands beside it."""

    def __init__(self, ring: KeyRing, people: PersonKeys, vendor_domain: str) -> None:
        self.ring = ring
        self.people = people
        self.vendor_domain = vendor_domain.lower()
        self._met: OrderedDict[str, dict[str, None]] = OrderedDict()
        self._workflow = ""

    def with_context(self, context: SerializationContext) -> Self:
        """The same codec for the payloads of one workflow."""
        if not isinstance(context, WorkflowSerializationContext | ActivitySerializationContext):
            return self
        bound = object.__new__(type(self))
        bound.__dict__.update(self.__dict__)
        bound._workflow = context.workflow_id or ""
        return bound

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt each payload. Raises what the ledger raises when a person must be looked up and it cannot be reached."""
        texts = [_text(payload) for payload in payloads]
        found = [tokenize.outsiders(text, self.vendor_domain) if "@" in text else [] for text in texts]
        self._meet(email for emails in found for email in emails)
        met = self._met.get(self._workflow, {}) if self._workflow else {}
        wanted = {email.lower() for emails in found for email in emails} | met.keys()
        known = await self._known(wanted, [text for text, emails in zip(texts, found, strict=True) if emails])
        return [self._sealed(payload, text, found, met.keys(), known) for payload, text, found in zip(payloads, texts, found, strict=True)]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt each payload that is encrypted. Raises :class:`~store.crypto.key_ring.Unreadable` saying what to set when one cannot be."""
        opened = [self._opened(payload) for payload in payloads]
        refs = {ref for _, carried in opened for ref, _, _ in carried}
        known = self.people.cached_refs(refs) if refs else {}
        if known is None:
            known = await asyncio.to_thread(self.people.load_refs, refs)
        return [self._restored(payload, carried, known) if carried else payload for payload, carried in opened]

    # --- Out ----------------------------------------------------------------------------------------------------------------

    async def _known(self, emails: Iterable[str], texts: Iterable[str]) -> Mapping[str, Someone]:
        """The people of these addresses, with what the texts say of their names learnt first."""
        wanted = set(emails)
        if not wanted:
            return {}
        called: dict[str, tuple[str, ...]] = {}
        for text in texts:
            for email, names in tokenize.names_beside(text).items() if text[0] in "{[" else ():
                called[email] = tokenize.merged(called.get(email, ()), names)
        known = self.people.cached(wanted)
        if known is None:
            known = await asyncio.to_thread(self.people.load, wanted, called)
        learnt = {email: names for email, names in called.items() if (person := known.get(email)) and _has_news(person, names)}
        return {**known, **await asyncio.to_thread(self.people.learn, learnt)} if learnt else known

    def _sealed(self, payload: Payload, text: str, found: Sequence[str], met: Iterable[str], known: Mapping[str, Someone]) -> Payload:
        inner = payload
        people = {email: known[email] for email in dict.fromkeys((*(email.lower() for email in found), *met)) if email in known}
        if text and people:
            inner = _Marking(people, text).payload(payload)
        plain = inner.SerializeToString()
        small = zlib.compress(plain, _LEVEL) if len(plain) > _WORTHWHILE else plain
        body = b"\1" + small if len(small) < len(plain) else b"\0" + plain
        key = self.ring.newest
        return Payload(metadata={"encoding": ENCODING, "key-id": key.id.encode()}, data=key.seal(body, f"payload {key.id}"))

    def _meet(self, emails: Iterable[str]) -> None:
        """Remember whose data the workflow carries."""
        if not self._workflow:
            return
        for email in emails:
            people = self._met.setdefault(self._workflow, {})
            if len(people) < MOST_PEOPLE:
                people[email.lower()] = None
        if self._workflow in self._met:
            self._met.move_to_end(self._workflow)
        while len(self._met) > MOST_WORKFLOWS:
            self._met.popitem(last=False)

    # --- Back ---------------------------------------------------------------------------------------------------------------

    def _opened(self, payload: Payload) -> tuple[Payload, list[_Carried]]:
        if payload.metadata.get("encoding") != ENCODING:
            return payload, []
        name = payload.metadata.get("key-id", b"").decode(errors="replace")
        body = self.ring.find(name).open(payload.data, f"payload {name}")
        inner = Payload.FromString(zlib.decompress(body[1:]) if body[:1] == b"\1" else body[1:])
        header, _, sealed = inner.metadata.pop(PEOPLE, b"").partition(b"\n")
        carried = []
        for ref, length, *shapes in json.loads(header or b"[]"):
            carried.append((ref, sealed[:length], shapes))
            sealed = sealed[length:]
        return inner, carried

    def _restored(self, payload: Payload, carried: Sequence[_Carried], known: Mapping[str, Someone]) -> Payload:
        texts = []
        for ref, sealed, shapes in carried:
            person = known.get(ref)
            if person is None or person.key is None:
                texts.append([_placeholder(shape) for shape in shapes])
            else:
                texts.append(json.loads(person.key.open(sealed, f"texts {ref}")))
                self._meet(text for text in texts[-1] if "@" in text)
        text = tokenize.restored(payload.data.decode(), lambda person, number: str(texts[person][number]))
        return Payload(metadata=payload.metadata, data=text.encode())


class _Marking:
    """The tokens of one payload: whose texts were cut out of it, in the order in which they were met."""

    def __init__(self, people: Mapping[str, Someone], text: str) -> None:
        self._people = people
        self._by_name = {name: person for person in reversed(list(people.values())) for name in person.names}
        for email, person in people.items():
            for name in tokenize.own_name(email):
                self._by_name.setdefault(name, person)
        self._order: dict[str, tuple[int, Someone]] = {}
        self._texts: list[dict[str, tuple[int, str]]] = []
        names = [tokenize.guarded(name) for name in self._by_name]
        self._text = tokenize.replaced(tokenize.guarded(text), names, self._mail, self._name)

    def payload(self, payload: Payload) -> Payload:
        """The payload with tokens, which carries what they stand for."""
        if not self._order:
            # Nothing of theirs, or only of people who were erased: that is replaced for good, without a token.
            return Payload(metadata=payload.metadata, data=tokenize.restored(self._text, lambda *_: "").encode())
        header, sealed = [], b""
        for (_, person), texts in zip(self._order.values(), self._texts, strict=True):
            assert person.key is not None
            own = person.key.seal(json.dumps(list(texts), ensure_ascii=False).encode(), f"texts {person.ref}")
            header.append([person.ref, len(own), *(shape for _, shape in texts.values())])
            sealed += own
        inner = Payload(metadata=payload.metadata, data=self._text.encode())
        inner.metadata[PEOPLE] = json.dumps(header, separators=(",", ":")).encode() + b"\n" + sealed
        return inner

    def _mail(self, found: str, _whole: bool) -> str:
        person = self._people.get(found.lower())
        return found if person is None else self._token(person, found, ids.erased(found).removeprefix(ids.ERASED))

    def _name(self, found: str, _whole: bool) -> str:
        name = tokenize.own(found)
        person = self._by_name.get(json.loads(f'"{name}"'))
        return found if person is None else self._token(person, name, "")

    def _token(self, person: Someone, found: str, shape: str) -> str:
        if person.key is None:
            return _placeholder(shape)
        number, _ = self._order.setdefault(person.ref, (len(self._order), person))
        if number == len(self._texts):
            self._texts.append({})
        texts = self._texts[number]
        return tokenize.token(number, texts.setdefault(found, (len(texts), shape))[0])


def _placeholder(shape: str) -> str:
    """What stands in for an erased text: an address that names nobody (``shape`` is its end), or the word that stands for every name."""
    return f"{ids.ERASED}{shape}" if shape else tokenize.ERASED_NAME


def _has_news(person: Someone, names: Iterable[str]) -> bool:
    return person.key is not None and len(person.names) < tokenize.MOST_NAMES and not {*names} <= {*person.names}


def _text(payload: Payload) -> str:
    """The JSON of a payload in which people may be named; empty for any other."""
    if payload.metadata.get("encoding") not in _JSON:
        return ""
    try:
        text = payload.data.decode()
    except UnicodeDecodeError:
        return ""
    if "\\u0040" in text:
        text = json.dumps(json.loads(text), ensure_ascii=False)
    return text
