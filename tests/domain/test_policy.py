"""The policy file: every figure has its unit and id, every fault is named with its line, and the hash names the content."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from domain import policy
from domain.policy import DEFAULT, Policy, PolicyError
from tests.domain.make import POLICY, with_figures

ACCOUNTS = policy.default_accounts()
TEXT = DEFAULT.read_text(encoding="utf-8")


def line_of(text: str, start: str) -> int:
    """The number of the only line that starts so."""
    [number] = [number for number, line in enumerate(text.splitlines(), 1) if line.startswith(start)]
    return number


def changed(old: str, new: str) -> str:
    assert TEXT.count(old) == 1
    return TEXT.replace(old, new)


def faults(text: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        policy.parse(text, "mine.toml")
    return str(caught.value).splitlines()


def leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def test_every_entry_has_a_unit_and_a_handbook_id() -> None:
    entries = policy.entries()
    assert {entry.path for entry in entries} == set(leaves(POLICY.model_dump())) | set(leaves(ACCOUNTS.model_dump()))
    for entry in entries:
        assert entry.unit.strip(), entry
        assert re.fullmatch(r"[ABCD]\d{1,2}|I", entry.id), entry
        assert TEXT.splitlines()[entry.line - 1].startswith(entry.path.rpartition(".")[2] + " = "), entry


def test_the_entries_are_what_the_policy_holds() -> None:
    held = leaves(POLICY.model_dump(mode="json")) | leaves(ACCOUNTS.model_dump(mode="json"))
    assert {entry.path: entry.value for entry in policy.entries()} == held


def test_a_file_of_ones_own_is_read_like_the_default(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(TEXT, encoding="utf-8")
    assert policy.load(own) == policy.default()
    own.write_text(
        changed('mode = { value = "automatic", unit = "mode", id = "C02" }', 'mode = { value = "ask", unit = "mode", id = "C02" }')
    )
    assert policy.load(own).trial.d15.mode == "ask"


# --- what is wrong is named ----------------------------------------------------------------------------------------------------------


def test_a_wrong_unit_is_named_with_its_line() -> None:
    text = changed('check_minutes = { value = 30, unit = "minutes"', 'check_minutes = { value = 30, unit = "hours"')
    assert faults(text) == [f"mine.toml:{line_of(text, 'check_minutes')}: pool.check_minutes: unit is 'hours', must be 'minutes'"]


def test_an_unknown_key_is_named_with_its_line() -> None:
    text = changed("[office]\n", '[office]\nlunch = { value = 12, unit = "hour of day", id = "I" }\n')
    assert faults(text) == [f"mine.toml:{line_of(text, 'lunch')}: office.lunch: unknown key; see domain/policy.toml for the known ones"]


def test_an_unknown_section_and_a_key_with_dots_in_its_name_are_unknown_keys() -> None:
    text = TEXT + '\n[lunch]\nat = { value = 12, unit = "hour of day", id = "I" }\n'
    assert faults(text) == [f"mine.toml:{line_of(text, 'at = ')}: lunch.at: unknown key; see domain/policy.toml for the known ones"]
    text = changed("[office]\n", '[office]\n"opens.early" = { value = 6, unit = "hour of day", id = "I" }\n')
    assert [fault for fault in faults(text) if "office.opens.early: unknown key" in fault]


def test_a_missing_key_is_named_at_its_section() -> None:
    text = changed('floor = { value = 2, unit = "instances", id = "A25" }\n', "")
    assert faults(text) == [f"mine.toml:{line_of(text, '[pool]')}: pool.floor: is missing"]


def test_a_missing_section_is_named() -> None:
    text = re.sub(r"(?ms)^\[activation\]\n.*?\n\n", "", TEXT)
    assert faults(text) == ["mine.toml:1: activation: is missing"]


@pytest.mark.parametrize("value", ['"fifteen"', '"15"', "15.0", "true", "[15]", "-1", "4_000"])
def test_a_value_of_the_wrong_type_or_out_of_bounds_is_named_with_its_line(value: str) -> None:
    text = changed("activity_window_days = { value = 15,", f"activity_window_days = {{ value = {value},")
    [fault] = faults(text)
    assert fault.startswith(f"mine.toml:{line_of(text, 'activity_window_days')}: trial.activity_window_days: Input should be ")


def test_a_wrong_mode_names_the_right_ones() -> None:
    text = changed('slack_mode = { value = "channel"', 'slack_mode = { value = "e-mail"')
    [fault] = faults(text)
    assert fault == f"mine.toml:{line_of(text, 'slack_mode')}: trial.slack_mode: Input should be 'channel' or 'thread'"


@pytest.mark.parametrize(
    "entry",
    [
        "30",
        "{ value = 30 }",
        '{ value = 30, unit = "minutes" }',
        '{ value = 30, unit = "minutes", id = 25 }',
        '{ value = 30, unit = "minutes", id = "A25", why = "I say so" }',
    ],
)
def test_an_entry_in_another_form_is_shown_the_right_one(entry: str) -> None:
    text = changed('check_minutes = { value = 30, unit = "minutes", id = "A25" }', f"check_minutes = {entry}")
    [fault] = faults(text)
    assert fault == f'mine.toml:{line_of(text, "check_minutes")}: pool.check_minutes: write it as {{ value = …, unit = "…", id = "…" }}'


def test_invalid_toml_is_named_with_its_line() -> None:
    text = changed("[office]\n", "[office\n")
    [fault] = faults(text)
    assert fault.startswith("mine.toml: ")
    assert f"line {line_of(text, '[office')}" in fault


def test_every_fault_is_named_at_once() -> None:
    text = TEXT.replace("[pool]\n", '[pool]\nice = { value = 1, unit = "cubes", id = "I" }\n').replace(
        "value = 22, unit", "value = 22, unti"
    )
    assert [fault.split(": ")[1] for fault in faults(text)] == ["office.closes", "pool.ice"]
    text = TEXT.replace("opens = { value = 7,", "opens = { value = 25,").replace("closes = { value = 22,", "closes = { value = -1,")
    assert [fault.split(": ")[1] for fault in faults(text)] == ["office.opens", "office.closes"]


# --- the rules between the figures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"office__opens": 22}, "office.opens must be an earlier hour"),
        ({"office__timezone": "Etc/Nowhere"}, "'Etc/Nowhere' is not a time zone"),
        ({"office__timezone": "../etc/passwd"}, "is not a time zone"),
        ({"office__timezone": "America"}, "'America' is not a time zone"),
        ({"office__holidays": ("2026-12-25", "26.12.2026")}, "'26.12.2026' is not a date"),
        ({"office__holidays": ("20261225",)}, "'20261225' is not a date"),
        ({"pool__floor": 5}, "pool.floor must not exceed pool.target"),
        ({"tasks__backup_after_hours": 31}, "backup_after_hours must not exceed manager_after_hours"),
        ({"trial__self_serve__warning_day": 12}, "warning_day < notice_day < base_days"),
        ({"trial__self_serve__notice_day": 15}, "warning_day < notice_day < base_days"),
        ({"trial__ce_requested__warning_day": 30}, "warning_day < base_days"),
        ({"trial__deadline__manager_after_days": 6}, "manager_after_days must not exceed grace_days"),
        ({"trial__self_serve__base_days": 31}, "self_serve.base_days must not exceed key_covers_days"),
        ({"qualification__criteria": ()}, "at least 1 item"),
        ({"cloud__wait_recheck_hours": 0}, "greater than or equal to 1"),
        ({"handoff__share_link_ttl_hours": 0}, "greater than or equal to 1"),
        ({"trial__self_serve__extension_days": 0}, "greater than or equal to 1"),
    ],
)
def test_figures_that_contradict_each_other_are_refused(figures: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(words)):
        with_figures(**figures)


def test_a_rule_between_figures_is_reported_at_its_section() -> None:
    text = changed('notice_day = { value = 12, unit = "days"', 'notice_day = { value = 15, unit = "days"')
    [fault] = faults(text)
    assert fault == (
        f"mine.toml:{line_of(text, '[trial.self_serve]')}: trial.self_serve: trial.self_serve: warning_day < notice_day < base_days must hold"
    )


@pytest.mark.parametrize("kind", ["generic", "trial", "production"])
@pytest.mark.parametrize("tags", [("true-up",), ("plan:enterprise-1", "plan:team-0")])
def test_every_key_has_exactly_one_plan(kind: str, tags: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError, match="exactly one plan: tag is needed"):
        with_figures(**{f"license__{kind}__tags": tags})


def test_plg_trial_stands_on_the_generic_key_only() -> None:
    assert "plg-trial" in POLICY.license.generic.tags
    with pytest.raises(ValidationError, match="plg-trial is for the generic self-serve key only"):
        with_figures(license__trial__tags=("plan:enterprise-1", "trial", "plg-trial"))
    for tag in ("plg-trial", "trial"):
        with pytest.raises(ValidationError, match="a production key carries neither trial nor plg-trial"):
            with_figures(license__production__tags=("plan:enterprise-1", tag))
    assert not {"trial", "plg-trial"} & set(POLICY.license.production.tags)


# --- what follows from the figures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rotation", "life"), [(7, 37), (30, 60)])
def test_a_generic_key_outlives_the_last_trial_of_its_cohort(rotation: int, life: int) -> None:
    """C01, at both values."""
    chosen = with_figures(license__generic__rotation_days=rotation)
    assert chosen.generic_key_life == timedelta(days=life)


def test_the_hash_is_the_same_for_the_same_figures_and_another_for_any_other() -> None:
    assert re.fullmatch(r"[0-9a-f]{12}", POLICY.hash)
    assert policy.parse(TEXT)[0].hash == POLICY.hash
    reordered = TEXT.replace('target = { value = 4, unit = "instances", id = "A25" }\n', "").replace(
        "[pool]\n", '[pool]\n# a comment\ntarget = { id = "A25", unit = "instances", value = 4 }\n'
    )
    assert policy.parse(reordered)[0].hash == POLICY.hash
    others = [
        with_figures(pool__target=5),
        with_figures(trial__d15__mode="ask"),
        with_figures(license__generic__tags=tuple(reversed(POLICY.license.generic.tags))),
        with_figures(office__holidays=("2026-12-25",)),
    ]
    assert len({POLICY.hash, *(other.hash for other in others)}) == len(others) + 1


def test_a_copy_with_other_figures_has_a_hash_of_its_own() -> None:
    assert POLICY.hash
    copied = POLICY.model_copy(update={"pool": POLICY.pool.model_copy(update={"target": 9})})
    assert copied.hash == with_figures(pool__target=9).hash != POLICY.hash


def test_a_policy_that_crossed_a_process_boundary_is_the_same_policy() -> None:
    there = Policy.model_validate_json(POLICY.model_dump_json())
    assert there == POLICY
    assert there.hash == POLICY.hash


def test_nobody_changes_a_policy_in_place() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        POLICY.pool.target = 9  # type: ignore[misc]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("trial.self_serve.base_days", 15),  # C03
        ("trial.self_serve.extension_days", 15),  # C03
        ("trial.ce_requested.base_days", 30),  # C03
        ("trial.ce_requested.extension_days", 30),  # C03
        ("trial.d15.mode", "automatic"),  # C02
        ("trial.deadline.grace_days", 5),  # C12
        ("trial.slack_mode", "channel"),  # C11
        ("license.generic.rotation_days", 7),  # C01
        ("handoff.reset_link_ttl_hours", 72),  # C17
        ("handoff.share_link_ttl_hours", 24),  # C17
        ("handoff.prequalified", "automatic"),  # C16
        ("handoff.qualified", "ce"),  # C16
        ("provisioning.issue", "automatic"),  # C04
        ("assignment.order", "assign_then_convert"),  # C14
        ("cloud.instance_cap", 300),  # A26
        ("office.opens", 7),  # A9
        ("office.closes", 22),  # A9
    ],
)
def test_the_defaults_are_those_of_the_handbook(path: str, value: object) -> None:
    assert leaves(POLICY.model_dump())[path] == value


@pytest.mark.parametrize(
    ("figure", "other"),
    [
        ("trial__slack_mode", "thread"),  # C11
        ("provisioning__issue", "by_hand"),  # C04
        ("assignment__order", "convert_then_assign"),  # C14
        ("handoff__prequalified", "ce"),  # C16
        ("handoff__qualified", "automatic"),  # C16
        ("handoff__reset_link_ttl_hours", 24),  # C17
        ("handoff__share_link_ttl_hours", 72),  # C17
    ],
)
def test_the_other_side_of_each_conflict_is_a_policy_too(figure: str, other: object) -> None:
    chosen = with_figures(**{figure: other})
    assert leaves(chosen.model_dump())[figure.replace("__", ".")] == other
    assert chosen.hash != POLICY.hash
