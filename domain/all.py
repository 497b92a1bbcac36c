"""Every command of every process. A process that comes has its module in this list; nothing else names it."""

from __future__ import annotations

import domain.account.commands
import domain.renewal.commands
import domain.trial.commands  # noqa: F401
from domain.commands import NAMED, every

__all__ = ["NAMED", "every"]
