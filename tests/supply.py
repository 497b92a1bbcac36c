"""``python -m tests.supply``: the list of what Tenure is built of (an SBOM in build/sbom.json), and whether any of it is known to be unsafe.

The list is CycloneDX, made of ``requirements.lock``. The audit asks the package registry for advisories of each locked version; where the
registry does not answer, as without a network, it says what was not audited instead of passing it over. Exits with 1 for a known weakness.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCK, SBOM = ROOT / "requirements.lock", ROOT / "build" / "sbom.json"
#: Advisories that do not touch us: the id, and why.
ACCEPTED: dict[str, str] = {}
#: Seconds that the registry may take in all.
PATIENCE = 180


def sbom(into: Path = SBOM) -> int:
    """Write the list; returns how many components it has."""
    into.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", str(LOCK), "--pyproject", str(ROOT / "pyproject.toml")]
    subprocess.run([*command, "--output-reproducible", "--no-validate", "-o", str(into)], check=True, stderr=subprocess.DEVNULL)
    return len(json.loads(into.read_text(encoding="utf-8"))["components"])


def ask() -> str:
    """The audit's own report, as JSON; empty when the registry could not be asked at all."""
    command = [sys.executable, "-m", "pip_audit", "-r", str(LOCK), "--require-hashes", "--disable-pip", "--format", "json"]
    try:
        said = subprocess.run([*command, "--progress-spinner", "off"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return ""
    return said.stdout


def verdict(report: str) -> tuple[int, str]:
    """The exit code, and what to say."""
    try:
        found: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, KeyError):
        return 0, "audit: the registry could not be asked; nothing was audited"
    weak = [
        f"{each['name']} {each['version']}: {known['id']}, mended in {', '.join(known['fix_versions']) or 'no version yet'}"
        for each in found
        for known in each.get("vulns", ())
        if known["id"] not in ACCEPTED
    ]
    audited = sum("skip_reason" not in each for each in found)
    said = f"audit: {audited} of {len(found)} locked packages are known to the registry" + ("" if audited else ": nothing was audited")
    if not weak:
        return 0, f"{said}; no known weakness" if audited else said
    return 1, "\n".join([said, *weak, "→ lock the mended versions, or name the advisory in tests/supply.py ACCEPTED with the reason"])


def main() -> None:
    """Write the list, audit, and say so."""
    sys.stdout.write(f"SBOM: {sbom()} components in {SBOM.relative_to(ROOT)}\n")
    code, said = verdict(ask())
    sys.stdout.write(said + "\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
