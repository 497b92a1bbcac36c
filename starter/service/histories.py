"""Histories as people may read them: what the server sent, with every payload decrypted and every error in its own words."""

import json
from collections.abc import Iterator, Mapping
from typing import TypeVar

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload, SearchAttributes
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DataConverter

M = TypeVar("M", bound=Message)


async def decrypt(message: Message, converter: DataConverter) -> None:
    """Decrypt all payloads within an event, a description or any other message of the server's, in place.

    Raises :class:`store.crypto.key_ring.Unreadable` when a key is missing.
    """
    payloads = list(_within(message, Payload))
    if payloads and converter.payload_codec is not None:
        for payload, plain in zip(payloads, await converter.payload_codec.decode(payloads), strict=True):
            payload.CopyFrom(plain)
    for failure in list(_within(message, Failure)):
        if failure.HasField("encoded_attributes"):
            said = json.loads(failure.encoded_attributes.data)
            failure.message, failure.stack_trace = said["message"], said["stack_trace"]
            failure.ClearField("encoded_attributes")


def _within(message: Message, kind: type[M]) -> Iterator[M]:
    """Every message of a kind, the given one included; search attributes are payloads that nobody encrypts."""
    if isinstance(message, SearchAttributes):
        return
    if isinstance(message, kind):
        yield message
    for field, value in message.ListFields():
        values = value.values() if isinstance(value, Mapping) else value if field.is_repeated else [value]
        for each in values:
            if isinstance(each, Message):
                yield from _within(each, kind)
