"""The acts in a history's words."""

from __future__ import annotations

import pkgutil
from datetime import UTC, datetime
from importlib import import_module

import pytest

import domain.effects
from domain.effects.effect import KINDS, Effect, EffectBatch
from domain.effects.salesforce import ConvertLead
from domain.effects.slack import OpenChannel
from domain.markup import LONGEST_SUMMARY

AS_OF = datetime(2026, 3, 2, tzinfo=UTC)

for module in pkgutil.iter_modules(domain.effects.__path__, "domain.effects."):
    import_module(module.name)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.__name__)
def test_every_act_has_words_of_its_own(kind: type[Effect]) -> None:
    sample = {
        "name": "n", "topic": "t", "channel": "c", "text": "t", "title": "t", "intro": "i", "fields": {"F": "v"}, "labels": (), "issue": 7,
        "field": "f", "value": "v", "reason": "completed", "workflow": "w.yml", "inputs": {}, "email": "e", "first_name": "f", "last_name": "l",
        "company": "c", "domain": "d", "source": "s", "status": "New", "owner": "o", "owner_name": "Ada", "opportunity": "o", "host": "h",
        "ttl_hours": 1, "account": "a", "purpose": "trial", "tags": (), "seats": 5, "expires_at": "2026-01-01T00:00:00Z",
        "summary": "s", "page": "p", "template": "access", "to": "bo@acme.com",
        "close_on": "2026-06-30", "amount": 9, "subscription": "L-1", "traits": {"T": 1}, "doc": "d", "lines": ("l",), "project": "p", "why": "w",
        "row": "acme.com", "cells": {"Status": "red"},
    }  # fmt: skip
    known = {name: value for name, value in sample.items() if name in kind.model_fields}
    if "account" in known and kind is ConvertLead:
        known["account"] = ""
    act = kind.model_validate({"key": "slack.the.key", **known})
    said = act.in_words()
    assert said
    assert said != act.key
    assert "@" not in said


def test_a_summary_is_as_long_as_the_server_takes_it() -> None:
    many = [OpenChannel(key=str(number), name="ä" * 40, topic="") for number in range(9)]
    summary = EffectBatch(subject="trial-acme.com/0a1b2c3d.1", as_of=AS_OF, effects=tuple(many)).in_words()
    assert len(summary.encode()) <= LONGEST_SUMMARY
    assert summary.endswith("…")
    assert EffectBatch(subject="trial-acme.com/0a1b2c3d.1", as_of=AS_OF, effects=tuple(many[:1])).in_words() == "open #" + "ä" * 40
