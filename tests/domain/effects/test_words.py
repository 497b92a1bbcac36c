"""The acts in a history's words."""

from __future__ import annotations

from typing import get_args

import pytest

from domain.effects import accounts, models
from domain.effects.effect import Act
from domain.effects.words import summary, words
from domain.markup import LONGEST_SUMMARY

ACTS = [
    *get_args(get_args(models.SlackAct)[0]),
    *get_args(get_args(models.GitHubAct)[0]),
    *get_args(get_args(models.SalesforceAct)[0]),
    *get_args(get_args(models.InstanceAct)[0]),
    *get_args(get_args(models.PagerAct)[0]),
    *get_args(get_args(accounts.VitallyAct)[0]),
    *get_args(models.LicenseAct),
    accounts.KeepRow,
    models.Mail,
]


@pytest.mark.parametrize("kind", ACTS, ids=lambda kind: kind.__name__)
def test_every_act_has_words_of_its_own(kind: type[Act]) -> None:
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
    if "account" in known and kind is models.ConvertLead:
        known["account"] = ""
    act = kind.model_validate({"key": "slack.the.key", **known})
    said = words(act)
    assert said
    assert said != act.key
    assert "@" not in said


def test_a_summary_is_as_long_as_the_server_takes_it() -> None:
    many = [models.OpenChannel(key=str(number), name="ä" * 40, topic="") for number in range(9)]
    assert len(summary(many).encode()) <= LONGEST_SUMMARY
    assert summary(many).endswith("…")
    assert summary(many[:1]) == "open #" + "ä" * 40
