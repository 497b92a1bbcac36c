"""The register: every kind of effect that the activities carry out, and how it is known that it already happened.

``docs/effects.md`` is written from it (``python -m activities.effects.table``), ``tenure effects verify`` compares by it, and a test holds it
against the acts of ``domain/effects/models.py`` and the words of the ledger. What belongs to a customer after the sale, and the CRM's, stands in
:mod:`activities.effects.registry_accounts`.
"""

from __future__ import annotations

from collections.abc import Mapping

from activities.effects.kind import EffectKind, claim, data, marked, named, of
from activities.effects.registry_accounts import OF_ACCOUNTS
from activities.github import GitHub
from activities.instance import Instance
from activities.licensing import _Issuing, _Reissuing, tag
from activities.mail.effects import Mailer
from activities.pagerduty import PagerDuty, dedup_key
from activities.slack.effects import Slack
from domain.effects.accounts import ReissueKey
from domain.effects.models import (
    ArchiveChannel,
    CloseIssue,
    Comment,
    CreateAdmin,
    Dispatch,
    FillField,
    IssueKey,
    Mail,
    OpenChannel,
    Page,
    Post,
    RaiseIssue,
    RemoveUser,
    ResetLink,
    ResolvePage,
    SetKey,
)
from domain.effects.reconcile import Claim
from store.ledger import EffectRow


def _message(row: EffectRow) -> tuple[Claim, ...]:
    assert row.receipt is not None
    return (claim(row, "message", f"{data(row, 'channel')}/{row.receipt.ref}", mark=str(named(row))),)


def _closed(row: EffectRow) -> tuple[Claim, ...]:
    assert row.receipt is not None
    issue = claim(row, "issue", row.receipt.ref, state="closed")
    return issue, claim(row, "comment", data(row, "comment"), mark=str(named(row)))


def _user(row: EffectRow) -> tuple[Claim, ...]:
    assert row.receipt is not None
    return (claim(row, "user", f"{data(row, 'host')}/{row.receipt.ref}", removed="no"),) if data(row, "host") else ()


def _no_user(row: EffectRow) -> tuple[Claim, ...]:
    assert row.receipt is not None
    return (claim(row, "user", f"{data(row, 'host')}/{row.receipt.ref}", removed="yes"),) if row.receipt.ref else ()


def _key_set(row: EffectRow) -> tuple[Claim, ...]:
    assert row.receipt is not None
    return (claim(row, "licence key", row.receipt.ref, key=data(row, "vault")),)


def _licence(row: EffectRow) -> tuple[Claim, ...]:
    assert row.receipt is not None
    return (claim(row, "licence", f"{row.receipt.ref}/{tag(named(row))}", mark=tag(named(row)), revoked="no"),)


REGISTER: tuple[EffectKind, ...] = (
    EffectKind(
        system="slack",
        act="channel.opened",
        asked_by=OpenChannel,
        probe="Creates the channel; `name_taken` says that it is there, and the list of all channels, archived ones too, says which it is. "
        "One that our app did not make, or that another organisation reads along, is not used: that is a task.",
        code=Slack._create_or_find,
        means="The channel's name. Topic and invitations are set only where they are not set yet.",
        window="People archive it before the next try: that makes `NAME-2`, since a bot cannot revive a channel.",
        told="It is there by its id, and archived only by us. One that our app made and the ledger does not know is reported, "
        "and so are two of one name.",
        claims=of("channel", archived="no"),
        kinds=("channel",),
        first=of("channel"),
    ),
    EffectKind(
        system="slack",
        act="message.posted",
        asked_by=Post,
        probe="Lists the channel (or thread) and the alerts channel back to the first attempt, page by page, for our message metadata; "
        "joins the channel again if people put our app out.",
        code=Slack._posted,
        means="Message metadata: event type `tenure`, the effect's name as its key.",
        window="People delete the message, or rename or remove the channel, before the next try: it is posted again.",
        told="The message is there with its metadata, in the channel that the receipt names.",
        claims=_message,
        marks=marked("message", str),
        kinds=("message",),
    ),
    EffectKind(
        system="slack",
        act="channel.archived",
        asked_by=ArchiveChannel,
        probe="Archives; `already_archived` says that it happened.",
        code=Slack._archive,
        means="The channel's own state.",
        window="People revive it before the next try: it is archived again.",
        told="The channel is archived.",
        claims=of("channel", archived="yes"),
    ),
    EffectKind(
        system="github",
        act="issue.created",
        asked_by=RaiseIssue,
        probe="Lists the issues, open and closed, newest first, back to the first attempt, for the mark in the body. Never by search, "
        "whose index lags; not by label, which people change.",
        code=GitHub._raised,
        means="A hidden mark at the end of the body: `<!-- tenure:EFFECT -->`.",
        window="People delete the issue, or take the mark out of its body, before the next try: it is raised again.",
        told="The issue is there with its mark.",
        claims=of("issue", str),
        marks=marked("issue", str),
        kinds=("issue",),
    ),
    EffectKind(
        system="github",
        act="issue.edited",
        asked_by=FillField,
        probe="Reads the body; writes only when the field does not show the value.",
        code=GitHub._fill,
        means="The value itself.",
        window="People change the field again before the next try: our value is written over theirs. GitHub has no conditional edit: what "
        "they write between our reading and our writing is lost.",
        told="The issue is there. Its body is people's too, so the value is not compared.",
        claims=of("issue"),
    ),
    EffectKind(
        system="github",
        act="comment.created",
        asked_by=Comment,
        probe="Lists the issue's comments since the first attempt, page by page, for the mark.",
        code=GitHub._commented,
        means="A hidden mark at the end of the comment.",
        window="People delete the comment, or its mark, before the next try: it is written again.",
        told="The comment is there with its mark.",
        claims=of("comment", str),
        marks=marked("comment", str),
        kinds=("comment",),
    ),
    EffectKind(
        system="github",
        act="issue.closed",
        asked_by=CloseIssue,
        probe="Lists the issue's comments since the first attempt for the mark, and reads the issue's state; each of the two requests is "
        "made only when it is not seen.",
        code=GitHub._close,
        means="The mark in the comment; the issue's own state.",
        window="People reopen the issue before the next try: it is closed again.",
        told="The issue is closed, and its comment is there with its mark.",
        claims=_closed,
        first=lambda row: _closed(row)[1:],
        marks=marked("comment", str),
        kinds=("comment",),
    ),
    EffectKind(
        system="github",
        act="workflow.dispatched",
        asked_by=Dispatch,
        probe="Lists the workflow's runs, newest first, back to the first attempt, for the effect's name in the title; without a filter, "
        "since a filtered list ends after 1,000.",
        code=GitHub._dispatched,
        means="The input `request`, which the workflow file puts into its `run-name`.",
        window="GitHub lists a run, as an issue and a comment, within seconds, not at once; so before a probe says no, it waits 5 s and looks "
        "again. Later than that, or when somebody deleted the run before the next try, another is started.",
        told="The run is there with the name in its title. GitHub keeps runs for 400 days at the most.",
        claims=of("run", str),
        marks=marked("run", str),
        kinds=("run",),
    ),
    EffectKind(
        system="instance",
        act="admin.created",
        asked_by=CreateAdmin,
        probe="Asks for the user by address, and by user name, since one whose address is not verified is found by name only.",
        code=Instance._find,
        means="The user name and the address are unique on an instance.",
        window="None: a second user cannot be made.",
        told="The user is there, while the instance is a customer's.",
        claims=_user,
        first=_user,
    ),
    EffectKind(
        system="instance",
        act="reset_link.made",
        asked_by=ResetLink,
        probe="None is possible: a link cannot be read again. So a new one is made, and the one before stops working.",
        code=Instance._new_link,
        means="One link works at a time, and it is made for somebody who waits for it: whoever opened the share link of their mail.",
        window="None: nobody was given the link that was lost.",
        told="The user is there; the link itself cannot be read.",
        claims=_user,
    ),
    EffectKind(
        system="instance",
        act="user.removed",
        asked_by=RemoveUser,
        probe="Asks for the user by address, and by user name: whoever is not there was removed.",
        code=Instance._find,
        means="A user is removed once.",
        window="Somebody makes a user of the same address before the next try: it is removed, too.",
        told="The user is not there, while the instance is a customer's.",
        claims=_no_user,
    ),
    EffectKind(
        system="instance",
        act="license.set",
        asked_by=SetKey,
        probe="Reads the site configuration for the key.",
        code=Instance._key_that_is_set,
        means="The key itself; the configuration is written on condition that nobody changed it since it was read.",
        window="None.",
        told="The instance shows the key that was set last, while it is a customer's.",
        claims=_key_set,
    ),
    EffectKind(
        system="licensing",
        act="license.issued",
        asked_by=IssueKey,
        probe="Lists the account's own subscriptions with all their keys for our tag. One that has no key and was made since the first "
        "attempt was made in vain, and is used.",
        code=_Issuing.probe,
        means="The tag `tenure:DIGEST` on the key.",
        window="Somebody renames the account between two tries: another subscription is made for one of the old name.",
        told="The key is on its subscription with its tag, and is not revoked.",
        claims=_licence,
        marks=marked("licence", tag),
        kinds=("licence",),
    ),
    EffectKind(
        system="licensing",
        act="license.reissued",
        asked_by=ReissueKey,
        probe="Lists all keys of the subscription for our tag.",
        code=_Reissuing.probe,
        means="The tag `tenure:DIGEST` on the key.",
        window="None: a key can be revoked, but not removed.",
        told="The key is on its subscription with its tag, and is not revoked.",
        claims=_licence,
        marks=marked("licence", tag),
        kinds=("licence",),
    ),
    EffectKind(
        system="pagerduty",
        act="page.sent",
        asked_by=Page,
        probe="None is possible: the Events API only takes events. It is sent again under the same key.",
        code=dedup_key,
        means="`dedup_key`, the effect's name: events of one key are one incident while it is open.",
        window="Somebody resolves the incident after a lost answer and before the next try: the team is paged once more.",
        told="not told: the Events API takes events and shows none",
    ),
    EffectKind(
        system="pagerduty",
        act="page.resolved",
        asked_by=ResolvePage,
        probe="None is needed: resolving what is resolved changes nothing.",
        code=PagerDuty._step,
        means="The `dedup_key` of the page.",
        window="None.",
        told="not told: the Events API takes events and shows none",
    ),
    EffectKind(
        system="mail",
        act="mail.sent",
        asked_by=Mail,
        probe="None is possible: SMTP cannot be asked. The ledger's row is the outbox: begun before the server is asked, done once it took "
        "the mail.",
        code=Mailer.message_id,
        means="A Message-ID derived from the effect's name, the same at every try, by which mail systems know a mail that comes again.",
        window="The server took the mail and its answer, or our record of it, was lost: it goes out once more under the same Message-ID.",
        told="not told: a mail that was handed over cannot be looked up; the mail server's log knows its Message-ID",
    ),
    *OF_ACCOUNTS,
)

BY_NAME: Mapping[tuple[str, str], EffectKind] = {(kind.system, kind.act): kind for kind in REGISTER}
