"""What is done on a customer's instance: its admin, their reset link, its licence key."""

from domain.effects.effect import Effect


class InstanceEffect(Effect):
    """An effect on the instance at ``host``."""

    host: str

    @property
    def place(self) -> str:
        """Each instance is a server of its own."""
        return self.host


class CreateAdmin(InstanceEffect, words="make the admin"):
    """Make the initial admin's user (found again by user name). It has no password until a reset link is opened.

    ``instead_of`` is the address of who was the admin by mistake.
    """

    email: str
    name: str
    instead_of: str = ""


class ResetLink(InstanceEffect, words="make a reset link"):
    """Make a reset link for the admin, who waits for it; the previous one stops working.

    The link goes to the vault, where whoever opened the share link takes it; untaken, it is forgotten after ``ttl_hours``.
    """

    email: str
    ttl_hours: int


class RemoveUser(InstanceEffect, words="remove the user who never came"):
    """Remove the user of somebody who has claimed an instance and never opened the link to it."""

    email: str


class SetKey(InstanceEffect, words="set the licence key"):
    """Put a licence key of the vault into the instance's configuration. ``vault`` empty: the current generic cohort's key."""

    vault: str = ""
