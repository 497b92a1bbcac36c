"""Every workflow that a worker runs, and which of them have the task queue of the runs over all customers (:data:`domain.ids.BATCH_QUEUE`)."""

from workflows.account.account import Account
from workflows.account.get_well import GetWell
from workflows.account.red_account import RedAccount
from workflows.forecast import WeeklyForecast
from workflows.frame.detached import Begin
from workflows.health import ScoreHealth
from workflows.renewal.renewal import Renewal
from workflows.trial.domain_change import DomainChange
from workflows.trial.support import JoinDigest, JoinRequest, SignupRescue
from workflows.trial.trial import Trial
from workflows.upkeep import FindReopened, LateWord, RefillPool, RotateGenericKey, SyncAccounts

ALL: list[type] = [
    Trial, JoinRequest, JoinDigest, SignupRescue, DomainChange, LateWord, FindReopened, RotateGenericKey, RefillPool, SyncAccounts,
    Account, Renewal, GetWell, RedAccount, Begin, ScoreHealth, WeeklyForecast,
]  # fmt: skip

BATCH: list[type] = [SyncAccounts, ScoreHealth]
