"""Signing somebody up on their behalf (A21, and the free-mail signups of A3): by the same service as the form's."""

from collections.abc import Awaitable, Callable

from temporalio import activity

from domain.messages import SignupAgain, SignupAnswer

SignUp = Callable[[SignupAgain], Awaitable[SignupAnswer]]


class SigningUp:
    """The worker hands in the starter's service: activities import no starter."""

    def __init__(self, sign_up: SignUp) -> None:
        self._sign_up = sign_up

    @activity.defn(name="sign_up")
    async def sign_up(self, again: SignupAgain) -> SignupAnswer:
        """Sign up. Safe to repeat: ``event`` is the update's id, so that it is one signup."""
        return await self._sign_up(again)
