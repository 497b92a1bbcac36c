"""Which code a worker runs: the package's version and the commit, as Temporal's worker deployments name a build."""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: What decides how a workflow replays, and what its activities do.
SOURCES = ("domain", "store", "activities", "workflows", "worker.py")
#: An image has no checkout: its build says which commit it was made of.
COMMIT = "TENURE_COMMIT"
_NO_NAME = re.compile(r"[^A-Za-z0-9.+_-]+")


def build_id(environment: Mapping[str, str] = os.environ, root: Path = ROOT) -> str:
    """``0.1.0+2266103abcde``; a tree with changes of its own has their digest behind it, and one without a commit only that."""
    commit = _NO_NAME.sub("-", environment.get(COMMIT, "").strip())[:40]
    if not commit:
        head, changed = _git(root, "rev-parse", "--short=12", "HEAD"), _git(root, "status", "--porcelain", "--", *SOURCES)
        own = f"src-{digest(root)}" if head is None or changed else ""
        commit = ".".join(part for part in (head, own) if part)
    return f"{_version()}+{commit}"


def digest(root: Path = ROOT) -> str:
    """Ten hex digits over the sources that a worker runs."""
    hashed = hashlib.sha256()
    for name in SOURCES:
        found = root / name
        for path in sorted(found.rglob("*")) if found.is_dir() else [found]:
            if path.is_file() and "__pycache__" not in path.parts:
                hashed.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes())
    return hashed.hexdigest()[:10]


def _version() -> str:
    try:
        return version("tenure")
    except PackageNotFoundError:
        return "0"


def _git(root: Path, *command: str) -> str | None:
    """What git says of this very checkout; None without git, or when the sources only lie inside somebody else's checkout."""
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return None
    try:
        said = subprocess.run([git, "-C", str(root), *command], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return said.stdout.strip() if said.returncode == 0 else None
