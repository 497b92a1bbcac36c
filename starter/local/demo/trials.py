"""``tenure demo``: a dozen companies, every case."""

from collections.abc import Sequence

from domain import ids
from starter.local.demo.company import Company
from starter.local.demo.director import Director
from starter.local.demo.player import AT_ONCE, perform, stories
from starter.local.demo.report import Report

STORIES = stories("trials")


async def play(director: Director) -> Report:
    """Put all stories on."""
    companies = [Company(director, story) for story in STORIES]
    await play_all(director, companies)
    report = Report("trials", ("company", "case", "what became of it"), ("days", "effects", "events"))
    await report.look_through(director, companies)
    report.title = f"{len(report.rows)} trials, {sum(row.data['effects'] for row in report.rows)} effects"
    return report


async def play_all(director: Director, companies: Sequence[Company]) -> None:
    """Have these play, the Cloud team on cue."""
    director.board.say("the CRM learns of the companies")
    await introduce(director, companies)
    director.board.say(f"{len(companies)} companies, at most {AT_ONCE} at once")
    async with director.cloud_team_on_cue():
        await perform(director, companies)


async def introduce(director: Director, companies: Sequence[Company]) -> None:
    """Put the accounts that the stories have into the CRM, and wait until its copy has them."""
    known = [each for each in companies if each.story.account]
    accounts = [{"Name": each.name, "Domain__c": each.domain, **(each.story.account or {})} for each in known]
    await director.post(director.sandbox, "/_sandbox/seed", {"salesforce": {"accounts": accounts}})

    def copied() -> bool:
        return all(director.registry.account_of(each.domain) for each in known)

    await director.until_scheduled("the copy of the CRM's accounts", ids.ACCOUNT_SYNC, copied)
