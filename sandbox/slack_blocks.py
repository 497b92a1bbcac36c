"""The Block Kit rules that Slack enforces and that a message card can break: the limits of docs.slack.dev/reference/block-kit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

BLOCKS = ("section", "header", "divider", "context", "actions", "image", "input", "rich_text", "markdown", "file", "video", "table")
MAX_BLOCKS = 50


def faults_of(blocks: Any) -> list[str]:
    """List what is wrong with a message's blocks, one line each with its JSON pointer; empty when Slack would take them."""
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        return ["must be an array of objects [json-pointer:/blocks]"]
    if len(blocks) > MAX_BLOCKS:
        return [f"no more than {MAX_BLOCKS} items allowed [json-pointer:/blocks]"]
    return [*_repeated("block_id", blocks), *(line for at, block in enumerate(blocks) for line in _block(block, f"/blocks/{at}"))]


def _block(block: dict[str, Any], at: str) -> Iterator[str]:
    kind = block.get("type")
    if kind not in BLOCKS:
        yield f"unsupported type: {kind} [json-pointer:{at}/type]"
        return
    if len(str(block.get("block_id", ""))) > 255:
        yield f"must be no more than 255 characters [json-pointer:{at}/block_id]"
    check = _CHECKS.get(str(kind))
    if check is not None:
        yield from check(block, at)


def _text(text: Any, at: str, limit: int, kinds: tuple[str, ...] = ("mrkdwn", "plain_text")) -> Iterator[str]:
    if not isinstance(text, dict) or text.get("type") not in kinds or not isinstance(text.get("text"), str):
        yield f"must be a text object of type {' or '.join(kinds)} [json-pointer:{at}]"
    elif not text["text"]:
        yield f"must be more than 0 characters [json-pointer:{at}/text]"
    elif len(text["text"]) > limit:
        yield f"must be no more than {limit} characters [json-pointer:{at}/text]"


def _section(block: dict[str, Any], at: str) -> Iterator[str]:
    fields = block.get("fields")
    if "text" not in block and not fields:
        yield f"missing required field: text [json-pointer:{at}]"
    if "text" in block:
        yield from _text(block["text"], f"{at}/text", 3000)
    if fields is not None:
        if not isinstance(fields, list) or not 1 <= len(fields) <= 10:
            yield f"must have 1 to 10 items [json-pointer:{at}/fields]"
        else:
            for number, one in enumerate(fields):
                yield from _text(one, f"{at}/fields/{number}", 2000)
    if "accessory" in block:
        yield from _element(block["accessory"], f"{at}/accessory")


def _header(block: dict[str, Any], at: str) -> Iterator[str]:
    yield from _text(block.get("text"), f"{at}/text", 150, ("plain_text",))


def _image(block: dict[str, Any], at: str) -> Iterator[str]:
    if not block.get("image_url") and not block.get("slack_file"):
        yield f"missing required field: image_url [json-pointer:{at}]"
    if not block.get("alt_text"):
        yield f"missing required field: alt_text [json-pointer:{at}]"


def _context(block: dict[str, Any], at: str) -> Iterator[str]:
    elements = block.get("elements")
    if not isinstance(elements, list) or not 1 <= len(elements) <= 10:
        yield f"must have 1 to 10 items [json-pointer:{at}/elements]"
        return
    for number, one in enumerate(elements):
        where = f"{at}/elements/{number}"
        if isinstance(one, dict) and one.get("type") == "image":
            yield from _image(one, where)
        else:
            yield from _text(one, where, 3000)


def _actions(block: dict[str, Any], at: str) -> Iterator[str]:
    elements = block.get("elements")
    if not isinstance(elements, list) or not 1 <= len(elements) <= 25:
        yield f"must have 1 to 25 items [json-pointer:{at}/elements]"
        return
    yield from _repeated("action_id", [one for one in elements if isinstance(one, dict)])
    for number, one in enumerate(elements):
        yield from _element(one, f"{at}/elements/{number}")


def _input(block: dict[str, Any], at: str) -> Iterator[str]:
    yield from _text(block.get("label"), f"{at}/label", 2000, ("plain_text",))
    yield from _element(block.get("element"), f"{at}/element")


def _element(element: Any, at: str) -> Iterator[str]:
    if not isinstance(element, dict) or not isinstance(element.get("type"), str):
        yield f"must be an element with a type [json-pointer:{at}]"
        return
    for name, limit in (("action_id", 255), ("value", 2000), ("url", 3000)):
        if len(str(element.get(name, ""))) > limit:
            yield f"must be no more than {limit} characters [json-pointer:{at}/{name}]"
    if element["type"] == "button":
        yield from _text(element.get("text"), f"{at}/text", 75, ("plain_text",))
        if element.get("style", "primary") not in ("primary", "danger"):
            yield f"must be primary or danger [json-pointer:{at}/style]"
    if element["type"] == "image":
        yield from _image(element, at)


def _repeated(name: str, items: list[dict[str, Any]]) -> Iterator[str]:
    given = [item[name] for item in items if item.get(name)]
    for value in sorted({str(one) for one in given if given.count(one) > 1}):
        yield f"{name} already exists: {value} [json-pointer:/{name}]"


_CHECKS: dict[str, Callable[[dict[str, Any], str], Iterator[str]]] = {
    "section": _section,
    "header": _header,
    "image": _image,
    "context": _context,
    "actions": _actions,
    "input": _input,
}
