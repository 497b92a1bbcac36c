"""The named criteria: what an SDR says yes or no to (A8, handbook 6.2), and the manager's three checks (A28)."""

from domain.policy import Policy
from domain.task import Check

QUESTIONS = {
    "core_use_case": "Is at least one core use case tied to a reason to act now?",
    "fits_size": "Does the company have 500 or more developers, can it grow there, or has it a pain that only we solve?",
    "right_contact": "Can the contact be a champion or a coach?",
    "code_host_reachable": "Is the code host reachable from the cloud, or can our addresses be allowed?",
    "accepts_cloud_security": "Does the customer accept the cloud's security?",
    "next_step_agreed": "Is a specific next step agreed?",
}

CE_REQUEST_CHECKS = (
    Check(name="deal_qualified", question="Is the deal qualified?"),
    Check(
        name="technically_qualified",
        question="Are success criteria documented and agreed by the customer, and the basic technical requirements documented?",
    ),
    Check(name="review_passed", question="Is everything standard, or has what is not passed a tech review?"),
)


def checks(policy: Policy) -> tuple[Check, ...]:
    """The criteria of the policy as checks of a task; one that has no question of ours is asked by its name."""
    return tuple(Check(name=name, question=QUESTIONS.get(name, name.replace("_", " ") + "?")) for name in policy.qualification.criteria)
