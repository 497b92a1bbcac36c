"""How an address is shown to people: without the password, token or key that it may hold, in whatever part of it."""

import re
from urllib.parse import unquote

STARS = "********"
#: The only query parameters whose values are shown; whatever else an address says may be a secret, under a name that we do not know.
HARMLESS = frozenset({"access_mode", "application_name", "db", "dbname", "host", "port", "read_only"})
HARMLESS |= {"charset", "client_encoding", "connect_timeout", "sslmode", "target_session_attrs", "timeout"}
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
#: A name and its port, an address in brackets, or what stands for a host.
_PLACE = re.compile(r"(\[[0-9A-Fa-f:.]*\]|\{host\}|[^:\[\]]*)(:\d{0,5})?")
_VALUE = re.compile(r"[\w./:+-]{0,128}")


def masked_url(address: str) -> str:
    """The address with stars for its password, its fragment, and the values of its query, but for those known to be harmless.

    Whoever typed it may have forgotten to encode an ``@``, ``/``, ``?`` or ``#`` in a password, so everything up to the last ``@``
    belongs to it. A lone user is taken for a token; of ``user:password`` the user is shown.
    """
    begins = _SCHEME.match(address)
    scheme = begins[0] if begins else ""
    rest = address[len(scheme) :]
    at = rest.rfind("@")
    if at >= 0:
        # An @ behind a ? or # may as well stand in a secret there: then what follows it is no host.
        behind = STARS if {"?", "#"} & {*rest[:at]} else _behind(rest[at + 1 :])
        return f"{scheme}{_user(rest[:at])}@{behind}"
    return scheme + _behind(rest)


def _user(credentials: str) -> str:
    user, colon, _ = credentials.partition(":")
    return f"{user}:{STARS}" if colon and re.fullmatch(r"[\w.+%-]*", user) else STARS


def _behind(text: str) -> str:
    """Host, path, query and fragment."""
    text, hash_, _ = text.partition("#")
    plain, mark, query = text.partition("?")
    place, slash, path = plain.partition("/")
    if not _PLACE.fullmatch(place):  # what was meant as user:password, perhaps
        plain = f"{STARS}{slash}{path}"
    parts = re.split(r"([&;])", query)
    shown = "".join(part if number % 2 else _parameter(part) for number, part in enumerate(parts))
    return f"{plain}{mark}{shown}{hash_}{STARS if hash_ else ''}"


def _parameter(text: str) -> str:
    name, equals, value = text.partition("=")
    if not text:
        return ""
    if not equals:
        return STARS
    if unquote(name).lower() in HARMLESS and _VALUE.fullmatch(value):
        return text
    return f"{name if re.fullmatch(r'[A-Za-z_.-]{1,40}', name) else STARS}={STARS}"
