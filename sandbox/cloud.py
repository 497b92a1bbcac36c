"""The vendor's Cloud team, scripted: it reads the request issues and does what each asks for.

Off by default, since whoever tests a workflow wants to say when the team acts; ``auto`` makes it act a moment after the label is put
on, and lets whoever tries a stack see things happen. What it does leaves as webhooks like anybody's work, and stands in the log under the service ``cloud``. The workflow files that
create and delete warm instances belong to the team too, and always run.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sandbox.core import Mode, World
from sandbox.github_store import CLOUD, Event, Hub, Issue, Repo, Run

if TYPE_CHECKING:
    from sandbox.instances import Instances

INSTANCE_REQUEST = "mi/instance-request"
EXTEND_REQUEST = "mi/extend-trial-request"
TEARDOWN_REQUEST = "mi/teardown-request"
CONVERT_REQUEST = "mi/convert-request"
DOMAIN_CHANGE_REQUEST = "mi/domain-change-request"
READY = "cloud-trial/instance-ready"
FAILED = "cloud-trial/failed"
PRODUCTION = "production"


def read_fields(body: str | None) -> dict[str, str]:
    """The ``key: value`` lines of an issue's body, in or out of a code fence, with list marks, bold and backticks taken off."""
    found: dict[str, str] = {}
    for line in (body or "").splitlines():
        match = re.match(r"^[\s>*`_-]*([A-Za-z][\w -]*?)[*`_]*\s*:[*_]*\s*(\S.*?)\s*$", line)
        if match:
            found.setdefault(match[1].strip().lower().replace(" ", "_").replace("-", "_"), match[2].strip("`*_<> "))
    return found


class CloudRefusal(Exception):
    """The team cannot do what the issue asks; the text is what it answers."""


class Agenda:
    """Things to do later. Emptied by :meth:`clear`, also of what is just about to begin."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._timers: set[threading.Timer] = set()

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Do ``act`` in ``seconds``, on a thread of its own."""

        def run() -> None:
            with self._lock:
                if timer not in self._timers:
                    return
                self._timers.discard(timer)
            act()

        timer = threading.Timer(seconds, run)
        timer.daemon = True
        with self._lock:
            self._timers.add(timer)
        timer.start()

    def clear(self) -> None:
        """Drop everything not yet begun."""
        with self._lock:
            for timer in self._timers:
                timer.cancel()
            self._timers.clear()


@dataclass
class CloudState:
    """What is kept of the team: its settings, the requests it has seen to, and the runs that were told to fail."""

    mode: Mode
    delay_seconds: float
    action_delay_seconds: float
    fail_next: int
    done: set[tuple[str, int, str]]
    failing: set[int]


class Cloud:
    """The team. ``mode`` and ``delay_seconds`` may be set at any time; ``fail_next`` is how many coming workflow runs fail."""

    def __init__(self, world: World, hub: Hub) -> None:
        self._world = world
        self._hub = hub
        self.agenda = Agenda()
        self._acts: dict[str, Callable[[Repo, Issue, dict[str, str]], None]] = {
            INSTANCE_REQUEST: self._provide,
            EXTEND_REQUEST: self._extend,
            TEARDOWN_REQUEST: self._tear_down,
            CONVERT_REQUEST: self._convert,
            DOMAIN_CHANGE_REQUEST: self._change_domain,
        }
        self.reset()

    def reset(self) -> None:
        """As it began, with nothing to do."""
        self.agenda.clear()
        self.mode: Mode = self._world.cloud_mode
        self.delay_seconds = self._world.cloud_delay_seconds
        self.action_delay_seconds = 0.2
        self.fail_next = 0
        self._taken: set[tuple[str, int, str]] = set()  # what it saw to, or will
        self._waiting: set[tuple[str, int, str]] = set()  # that of it which is still to be done
        self._failing: set[int] = set()  # runs by id, as the next
        self._under_way: set[int] = set()

    def dump(self) -> CloudState:
        """What is to be kept."""
        done = self._taken - self._waiting
        return CloudState(self.mode, self.delay_seconds, self.action_delay_seconds, self.fail_next, done, self._failing)

    def load(self, state: CloudState) -> None:
        """Go on from what was kept; :meth:`resume` then sets it in motion."""
        self.mode, self.delay_seconds = state.mode, state.delay_seconds
        self.action_delay_seconds, self.fail_next = state.action_delay_seconds, state.fail_next
        self._taken, self._waiting, self._failing, self._under_way = state.done, set(), state.failing, set()

    def resume(self) -> None:
        """Take up the runs that have not ended and, in ``auto``, the open issues that nobody has seen to."""
        with self._hub.lock:
            for repo in self._hub.repos.values():
                for run in repo.runs:
                    if run.status != "completed" and run.id not in self._under_way:
                        self._plan_run(repo, run)
            if self.mode == "auto":
                self._pick_up_waiting()

    def seed(self, data: dict[str, Any]) -> None:
        """``mode``, ``delay_seconds``, ``action_delay_seconds``, ``fail_next``: those given are set. ValueError for another mode."""
        if data.get("mode", "off") not in ("off", "auto"):
            raise ValueError("mode is off or auto")
        for name in ("mode", "delay_seconds", "action_delay_seconds", "fail_next"):
            if name in data:
                setattr(self, name, data[name])
        if self.mode == "auto":
            self._pick_up_waiting()

    @property
    def instances(self) -> Instances:
        """The customer instances, which this team makes and unmakes."""
        instances: Instances = self._world.services["instances"]
        return instances

    # --- noticing

    def notice(self, event: Event) -> None:
        """Listen to the hub: a label begins an issue's work, a dispatch begins a run."""
        if event.run is not None and event.action == "requested":
            self._begin_run(event.repo, event.run)
        elif self.mode == "auto" and event.issue is not None and event.action == "labeled" and event.label is not None:
            self._take(event.repo, event.issue, event.label.name)

    def act(self, repo: Repo, issue: Issue, fail: str = "") -> str:
        """Do now what the issue asks for, or answer that it failed. Returns the label acted on; LookupError when there is none."""
        wanted = next((label for label in issue.labels if label in self._acts), None)
        if wanted is None:
            raise LookupError(f"issue #{issue.number} carries none of {', '.join(self._acts)}")
        self._taken.add((repo.full_name, issue.number, wanted))
        self._waiting.discard((repo.full_name, issue.number, wanted))
        if fail:
            self._fail(repo, issue, fail)
        else:
            self._do(repo, issue, wanted)
        return wanted

    def _pick_up_waiting(self) -> None:
        with self._hub.lock:
            waiting = [(r, i, label) for r in self._hub.repos.values() for i in r.issues.values() for label in i.labels]
        for repo, issue, label in waiting:
            if issue.state == "open":
                self._take(repo, issue, label)

    def _take(self, repo: Repo, issue: Issue, label: str) -> None:
        key = (repo.full_name, issue.number, label)
        if label in self._acts and key not in self._taken:
            self._taken.add(key)
            self._waiting.add(key)
            self.agenda.after(self.delay_seconds, lambda: self._do_waiting(repo, issue, label))

    def _do_waiting(self, repo: Repo, issue: Issue, label: str) -> None:
        key = (repo.full_name, issue.number, label)
        with self._hub.lock:
            if key in self._waiting:  # unless it was done on demand meanwhile
                self._waiting.discard(key)
                self._do(repo, issue, label)

    def _do(self, repo: Repo, issue: Issue, label: str) -> None:
        with self._hub.lock:
            try:
                self._acts[label](repo, issue, read_fields(issue.body))
            except CloudRefusal as reason:
                self._fail(repo, issue, str(reason))

    # --- what each kind of issue asks for

    def _provide(self, repo: Repo, issue: Issue, fields: dict[str, str]) -> None:
        host = self._host(fields)
        self._make(host, "warm" if fields.get("instance_type") == "warm" else "trial")
        self._comment(repo, issue, f"Instance ready: https://{host}")
        self._label(repo, issue, READY)

    def _extend(self, repo: Repo, issue: Issue, fields: dict[str, str]) -> None:
        until = fields.get("until") or fields.get("new_end") or fields.get("extend_until")
        self._comment(repo, issue, f"Trial extended until {until}." if until else "Trial extended.")
        self._close(repo, issue)

    def _tear_down(self, repo: Repo, issue: Issue, fields: dict[str, str]) -> None:
        host = self._host(fields)
        self._comment(repo, issue, f"https://{host} will be destroyed in 1 hour. Its data cannot be recovered.")
        self._unmake(host)
        self._close(repo, issue)

    def _convert(self, repo: Repo, issue: Issue, fields: dict[str, str]) -> None:
        host = fields.get("host", "")
        if host and self.instances.exists(host):
            self.instances.set_kind(host, "production")
            self._log("instance.converted", f"{host} is a production instance", host=host)
        self._label(repo, issue, PRODUCTION)
        self._close(repo, issue)

    def _change_domain(self, repo: Repo, issue: Issue, fields: dict[str, str]) -> None:
        host, new = self._host(fields), fields.get("new_host", "")
        if not new:
            raise CloudRefusal("The issue has no `new_host:` line.")
        try:
            self.instances.rename(host, new, keep=fields.get("internal_host", "").lower() == host)
        except KeyError:
            raise CloudRefusal(f"There is no instance at {host}.") from None
        except ValueError:
            raise CloudRefusal(f"{new} is taken.") from None
        self._log("instance.renamed", f"{host} is now {new}", host=host, new_host=new)
        self._comment(repo, issue, f"Domain changed: https://{new}")
        self._close(repo, issue)

    # --- workflow runs

    def _begin_run(self, repo: Repo, run: Run) -> None:
        if self.fail_next > 0:
            self.fail_next -= 1
            self._failing.add(run.id)
        self._plan_run(repo, run)

    def _plan_run(self, repo: Repo, run: Run) -> None:
        self._under_way.add(run.id)
        step = self._start_run if run.status == "queued" else self._finish_run
        self.agenda.after(self.action_delay_seconds / 2, lambda: step(repo, run))

    def _start_run(self, repo: Repo, run: Run) -> None:
        self._hub.advance_run(repo, run, "in_progress")
        self._plan_run(repo, run)

    def _finish_run(self, repo: Repo, run: Run) -> None:
        with self._hub.lock:
            host = run.inputs.get("host", "").lower()
            if run.id in self._failing or not host:
                conclusion = "failure"
            else:
                conclusion = "success"
                if run.file.startswith("create-"):
                    self._make(host, "warm")
                elif run.file.startswith("delete-"):
                    self._unmake(host)
            self._log("run.completed", f"{run.title}: {conclusion}", repo=repo.full_name, run=run.id, host=host, conclusion=conclusion)
            self._failing.discard(run.id)
            self._under_way.discard(run.id)
            self._hub.advance_run(repo, run, "completed", conclusion)

    # --- small steps, each one line in the log

    def _host(self, fields: dict[str, str]) -> str:
        host = re.sub(r"^https?://", "", fields.get("host", "")).strip("/").lower()
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*[a-z0-9]", host):
            raise CloudRefusal("The issue has no `host:` line that names a host.")
        return host

    def _make(self, host: str, kind: Literal["warm", "trial"]) -> None:
        if not self.instances.exists(host):  # the team's action is idempotent: asked twice, it makes one instance
            self.instances.create(host, kind)
            self._log("instance.created", f"{host} ({kind})", host=host, kind=kind)

    def _unmake(self, host: str) -> None:
        if self.instances.exists(host):
            self.instances.delete(host)
            self._log("instance.deleted", f"{host} and its data are gone", host=host)

    def _comment(self, repo: Repo, issue: Issue, text: str) -> None:
        self._hub.add_comment(repo, issue, CLOUD, text)
        self._log("comment.created", f"#{issue.number}: {text}", repo=repo.full_name, issue=issue.number, body=text)

    def _label(self, repo: Repo, issue: Issue, label: str) -> None:
        self._hub.add_labels(repo, issue, CLOUD, [label])
        self._log("label.added", f"#{issue.number}: {label}", repo=repo.full_name, issue=issue.number, label=label)

    def _close(self, repo: Repo, issue: Issue) -> None:
        self._hub.edit_issue(repo, issue, CLOUD, {"state": "closed", "state_reason": "completed"})
        self._log("issue.closed", f"#{issue.number}: {issue.title}", repo=repo.full_name, issue=issue.number)

    def _fail(self, repo: Repo, issue: Issue, reason: str) -> None:
        with self._hub.lock:
            self._comment(repo, issue, f"Failed: {reason}")
            self._label(repo, issue, FAILED)

    def _log(self, act: str, what: str, **data: Any) -> None:
        self._world.log.effect("cloud", act, what, **data)
