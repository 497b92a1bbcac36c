"""Every command of every process, and every function that decides. What comes has its module in this list; nothing else names it."""

import domain.account.commands
import domain.account.get_well
import domain.account.lifecycle
import domain.account.red
import domain.renewal.commands
import domain.renewal.decisions
import domain.trial.adoption
import domain.trial.claim
import domain.trial.commands
import domain.trial.decisions  # noqa: F401
from domain.commands import NAMED, every
from domain.decision import decide_again

__all__ = ["NAMED", "decide_again", "every"]
