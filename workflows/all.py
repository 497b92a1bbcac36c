"""Every workflow that a worker runs, and which of them have the task queue of the runs over all customers (:data:`domain.ids.BATCH_QUEUE`)."""

from __future__ import annotations

from workflows.account import Account
from workflows.beside import Begin
from workflows.domain_change import DomainChange
from workflows.forecast import WeeklyForecast
from workflows.get_well import GetWell
from workflows.health import ScoreHealth
from workflows.join import JoinDigest, JoinRequest
from workflows.late_word import FindReopened, LateWord
from workflows.red_account import RedAccount
from workflows.renewal import Renewal
from workflows.rescue import SignupRescue
from workflows.trial import Trial
from workflows.upkeep import RefillPool, RotateGenericKey, SyncAccounts

ALL: list[type] = [
    Trial,
    JoinRequest,
    JoinDigest,
    SignupRescue,
    DomainChange,
    LateWord,
    FindReopened,
    RotateGenericKey,
    RefillPool,
    SyncAccounts,
    Account,
    Renewal,
    GetWell,
    RedAccount,
    Begin,
    ScoreHealth,
    WeeklyForecast,
]

BATCH: list[type] = [SyncAccounts, ScoreHealth]
