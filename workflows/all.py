"""Every workflow that a worker runs."""

from __future__ import annotations

from workflows.domain_change import DomainChange
from workflows.get_well import GetWell
from workflows.join import JoinRequest
from workflows.rescue import SignupRescue
from workflows.trial import Trial
from workflows.upkeep import RefillPool, RotateGenericKey, SyncAccounts

ALL: list[type] = [Trial, JoinRequest, SignupRescue, DomainChange, RotateGenericKey, RefillPool, SyncAccounts, GetWell]
