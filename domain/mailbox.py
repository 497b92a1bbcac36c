"""One mailbox, many spellings: what a provider takes for the same address. Mail always goes to the address as it was typed."""

from typing import NamedTuple


class _Provider(NamedTuple):
    """The domain that stands for all of a provider's, and the signs that it passes over in the part before the @."""

    domain: str
    ignored: str = ""


_PROVIDERS = {
    name: provider
    for provider, names in {
        _Provider("gmail.com", ignored="."): "gmail.com googlemail.com",
        _Provider("proton.me", ignored=".-_"): "proton.me protonmail.com protonmail.ch pm.me",
        _Provider("icloud.com"): "icloud.com me.com mac.com",
        _Provider("yandex.ru", ignored=".-"): "yandex.ru yandex.com yandex.by yandex.kz yandex.ua ya.ru",
    }.items()
    for name in names.split()
}
#: Providers where ``anything@ada.fastmail.com`` comes to ``ada@fastmail.com``.
_BY_HOST = ("fastmail.com", "fastmail.fm")


def canonical(email: str) -> str:
    """The one spelling that stands for a mailbox, in lower case: canonical again, it stays as it is. For comparing, never for sending.

    A tag behind a plus counts nowhere (RFC 5233): two people whose addresses differ in that alone are taken for one.
    """
    local, at, host = email.strip().lower().rpartition("@")
    if not at:
        return host
    for parent in _BY_HOST:
        if host.endswith(f".{parent}"):
            local, host = host.removesuffix(f".{parent}").rpartition(".")[2], parent
    provider = _PROVIDERS.get(host) or _Provider(host)
    kept = local.partition("+")[0] or local
    kept = "".join(sign for sign in kept if sign not in provider.ignored) or kept
    return f"{kept}@{provider.domain}"


def same(one: str, other: str) -> bool:
    """Whether two addresses are one mailbox."""
    return canonical(one) == canonical(other)
