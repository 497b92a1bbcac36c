"""One batch on Slack by a worker that dies after the call, and again by its successor: ``python -m tests.chaos.doomed_batch DIR``.

Twice: as the product does it, and by workers that do not ask what a dead one has done. No Temporal: what is tried is the ledger's promise
alone, with the wrapper of :mod:`tests.chaos.doom`. The outside systems are where ``TENURE_…`` says. Prints, by the subject of
the effect, how each process ended.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from temporalio.testing import ActivityEnvironment

from activities.slack.effects import Slack
from domain.effects.effect import EffectBatch
from domain.effects.slack import Post
from store.ledger import Ledger
from store.settings import Settings
from tests.chaos.doom import Doom, wrap
from tests.chaos.kinds import Point

SUBJECTS = ("trial-asking.com/1.1", "trial-blind.com/1.1")


def main() -> None:
    """Fork the one, then the other, for each subject."""
    home = Path(sys.argv[1])
    wrap(Doom(home))
    (home / "due.json").write_text(json.dumps([["Post", Point.AFTER]]))
    ends = {}
    for subject in SUBJECTS:
        ends[subject] = [_one(subject), _one(subject)]
        (home / "marks" / f"Post.{Point.AFTER}").unlink()
        (home / "blind").touch()
    sys.stdout.write(json.dumps(ends) + "\n")


def _one(subject: str) -> int:
    """One worker's life, and how it ended."""
    child = os.fork()
    if child == 0:
        post = Post(key="slack.alert", channel="cloud-trial-alerts", text="A trial begins.")
        settings = Settings(_env_file=None)
        ledger = Ledger(settings.ledger_url)
        ledger.create()
        ledger.settle = timedelta()  # whoever died here died after the call
        slack = Slack.from_settings(settings, ledger).carry_out
        ActivityEnvironment().run(slack, EffectBatch(subject=subject, as_of=datetime.now(UTC), effects=(post,)))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    main()
