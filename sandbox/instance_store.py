"""What the instances' stand-in holds: one :class:`Instance` per host, with its users, its configuration and its usage."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sandbox.graphql_api import decode_license, rfc3339

Kind = Literal["warm", "trial", "production"]

_COMMENT_OR_STRING = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING_COMMA = re.compile(r'"(?:\\.|[^"\\])*"|,(?=\s*[}\]])', re.DOTALL)


@dataclass
class Account:
    """A user of an instance. ``link`` is the code of the last reset link made; earlier links are dead."""

    number: int
    username: str
    email: str
    verified: bool
    created_at: datetime
    site_admin: bool = False
    link: str | None = None
    searches: int = 0
    result_views: int = 0
    code_intel: int = 0
    last_active: datetime | None = None


@dataclass
class Instance:
    """One instance with its users, its configuration and what it is said to have been used for."""

    host: str
    kind: Kind
    site_id: str
    created_at: datetime
    accounts: dict[int, Account] = field(default_factory=dict)
    code_hosts: int = 0
    sso: bool = False
    daus: list[int] = field(default_factory=list)
    waus: list[int] | None = None
    maus: list[int] | None = None
    config_id: int = 1
    config: str = "{}"
    last_number: int = 0

    def new_number(self) -> int:
        """A number that no account of this instance has or had."""
        self.last_number += 1
        return self.last_number

    def find(self, username: str | None = None, email: str | None = None) -> Account | None:
        """The account of that name, or of that *verified* address: an unverified address finds nobody."""
        for account in self.accounts.values():
            if username is not None and account.username.lower() == username.lower():
                return account
            if email is not None and account.verified and account.email.lower() == email.lower():
                return account
        return None

    def describe(self) -> dict[str, Any]:
        """The whole state as JSON, for the control side; link codes are left out."""
        info = decode_license(self.license_key or "")
        return {
            "host": self.host,
            "kind": self.kind,
            "created_at": rfc3339(self.created_at),
            "code_hosts": self.code_hosts,
            "sso": self.sso,
            "daus": self.daus,
            "license": {"tags": list(info.tags), "users": info.user_count, "expires_at": info.expires_at} if info else None,
            "users": [
                {
                    "username": a.username,
                    "email": a.email,
                    "verified": a.verified,
                    "site_admin": a.site_admin,
                    "searches": a.searches,
                    "result_views": a.result_views,
                    "last_active": rfc3339(a.last_active),
                }
                for a in self.accounts.values()
            ],
        }

    @property
    def license_key(self) -> str | None:
        """The key in the site configuration."""
        return str(parse_jsonc(self.config).get("licenseKey") or "") or None


def parse_jsonc(text: str) -> dict[str, Any]:
    """Read JSON that may hold comments and trailing commas. ValueError when it is not an object."""

    def keep_strings(match: re.Match[str]) -> str:
        return match[0] if match[0].startswith('"') else ""

    parsed = json.loads(_TRAILING_COMMA.sub(keep_strings, _COMMENT_OR_STRING.sub(keep_strings, text)))
    if not isinstance(parsed, dict):
        raise ValueError("the site configuration is not a JSON object")
    return parsed
