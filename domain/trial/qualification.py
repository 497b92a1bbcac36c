"""The named criteria: what an SDR says yes or no to (A8, handbook 6.2), and the manager's three checks (A28)."""

from domain.policy import Policy
from domain.task import Check
from domain.wording import beside

_SAID = beside(__file__)
QUESTIONS: dict[str, str] = _SAID["criteria"]
CE_REQUEST_CHECKS = tuple(Check(name=name, question=question) for name, question in _SAID["ce_request"].items())


def checks(policy: Policy) -> tuple[Check, ...]:
    """The criteria of the policy as checks of a task; one that has no question of ours is asked by its name."""
    return tuple(Check(name=name, question=QUESTIONS.get(name, name.replace("_", " ") + "?")) for name in policy.qualification.criteria)
