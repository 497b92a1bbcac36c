"""What is done on Slack: the trial's channel, messages and task cards."""

from domain.effects.effect import Effect


class SlackEffect(Effect):
    """An effect on Slack."""


class OpenChannel(SlackEffect, words="open #{name}"):
    """Make the trial's channel (found again by its name) and invite these e-mail addresses of ours."""

    name: str
    topic: str
    invite: tuple[str, ...] = ()


class Post(SlackEffect):
    """Post a message: to a channel by name, and under the message of an earlier ``Post`` when ``under`` names its key.

    ``text`` is Slack mrkdwn, already worded; ``mention`` are e-mail addresses whose Slack users are named first.
    ``task`` and ``choices`` (name, label) make it a task card: the choices and how to answer are shown.
    """

    channel: str
    text: str
    under: str = ""
    mention: tuple[str, ...] = ()
    task: str = ""
    choices: tuple[tuple[str, str], ...] = ()

    def in_words(self) -> str:
        """What the key says: a message's text is for the channel only."""
        words = self.key.removeprefix("slack.").removeprefix("task.").replace("_", " ").replace(".", " ")
        return f"{'ask in' if self.task else 'tell'} #{self.channel}: {words}"


class ArchiveChannel(SlackEffect, words="archive #{name}"):
    """Archive the trial's channel."""

    name: str
