"""A workflow for the kind of effect that no process asks for today, so that it is killed like the others."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.effects.github import Comment
    from domain.upkeep import UpkeepInput
    from workflows.upkeep import Upkeep


@workflow.defn
class CommentOnIssue(Upkeep):
    """Comments on the issue #1, once."""

    @workflow.run
    async def run(self, input: UpkeepInput) -> str:
        """Returns the comment's id."""
        made = await self.process.do(Comment(key="comment", issue=1, text="The outside systems are tried today."))
        await self.process.settle()
        return made.of("comment").ref
