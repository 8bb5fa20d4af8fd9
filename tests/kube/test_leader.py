"""Leader election: who may write, until when, and what happens to one who oversleeps."""

import asyncio
import re
import signal
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from pie.kube.clock import boottime
from pie.kube.leader import Deposed, Elector, LeaseTiming, NotLeading, Reign
from pie.kube.lease import micro_time
from tests.kube import elector_process
from tests.kube.leaseserver import LeaseServer
from tests.kube.scripted import eventually

QUICK = LeaseTiming(3, renew_deadline_seconds=1.8, renew_period_seconds=0.15, retry_period_seconds=0.09)


class Clock:
    """The real clock, with jumps: what a process that was frozen sees."""

    def __init__(self) -> None:
        self.slept_seconds = 0.0

    def __call__(self) -> float:
        return boottime() + self.slept_seconds


@asynccontextmanager
async def standing(
    server: LeaseServer, identity: str, clock: Clock | None = None
) -> AsyncIterator[tuple[Elector, "asyncio.Task[object]"]]:
    """Run an elector."""
    config = server.config
    async with Elector(
        config, namespace="ns", name="pie", identity=identity, timing=QUICK, clock=clock or boottime
    ) as elector:
        task: asyncio.Task[object] = asyncio.create_task(elector.run())
        try:
            yield elector, task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, Deposed):
                await task


async def test_a_lease_that_is_not_there_is_made_and_renewed() -> None:
    async with LeaseServer() as server, standing(server, "one") as (elector, _):
        with pytest.raises(NotLeading, match="not sent: one does not hold the lease ns/pie"):
            elector.check()
        await elector.leading.wait()
        elector.check()
        assert server.lease is not None
        spec = server.lease["spec"]
        assert spec["leaseTransitions"] == 0
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", spec["renewTime"])
        acquired, renewed = spec["acquireTime"], spec["renewTime"]
        await eventually(lambda: server.lease["spec"]["renewTime"] > renewed, "a renewal")  # type: ignore[index]
        assert server.lease["spec"]["acquireTime"] == acquired


async def test_a_dead_leaders_lease_is_taken_after_its_duration_by_the_candidates_own_clock() -> None:
    """The times in the record say it ended long ago, or never: they do not count."""
    for stamp in ("2001-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"):
        async with LeaseServer() as server:
            server.hold("dead", renewTime=stamp, leaseTransitions=4)
            started = boottime()
            async with standing(server, "one") as (elector, _):
                await elector.leading.wait()
                assert boottime() - started >= 1.0
                assert server.lease is not None
                assert server.lease["spec"]["leaseTransitions"] == 5


async def test_a_living_leaders_lease_is_left_alone() -> None:
    async with LeaseServer() as server, standing(server, "one") as (one, _):
        await one.leading.wait()
        async with standing(server, "two") as (two, _):
            writes = server.lease_writes
            await eventually(lambda: server.lease_writes > writes + 25, "more renewals than it lasts", 20)
            assert not two.is_leader()
            assert two.holder == "one"


async def test_a_released_lease_is_taken_at_once() -> None:
    async with LeaseServer() as server:
        async with standing(server, "one") as (one, task):
            await one.leading.wait()
            task.cancel()
            await one.release()
            assert server.holder == ""
            with pytest.raises(NotLeading):
                one.check()
        assert server.lease is not None
        server.lease["spec"]["leaseDurationSeconds"] = 600  # One who waited for its end would be too late.
        async with standing(server, "two") as (two, _):
            await asyncio.wait_for(two.leading.wait(), 60)


async def reign_after(server: LeaseServer) -> Reign:
    async with standing(server, "two") as (two, _):
        assert two.reign is None
        await asyncio.wait_for(two.leading.wait(), 60)
        assert two.reign is not None
        return two.reign


async def test_the_first_leader_of_all_follows_nobody() -> None:
    async with LeaseServer() as server:
        assert (await reign_after(server)).unled_since is None


@pytest.mark.parametrize(("holder", "worked"), [("", 0.0), ("one", QUICK.renew_period_seconds)])
@pytest.mark.parametrize("lost_answers", [0, 1])
async def test_a_leader_reigns_since_it_took_the_lease_and_knows_until_when_the_former_one_did(
    holder: str, worked: float, lost_answers: int
) -> None:
    async with LeaseServer() as server:
        renewed = float(int(time.time()))
        server.hold(holder, renewTime=micro_time(renewed))
        server.lose_answers = lost_answers
        reign = await reign_after(server)
        assert reign.unled_since == renewed
        assert reign.since >= renewed + worked


async def test_a_renewal_in_the_far_future_by_a_wrong_clock_is_not_believed() -> None:
    async with LeaseServer() as server:
        server.hold("", renewTime=micro_time(time.time() + 86_400))
        reign = await reign_after(server)
        assert reign.unled_since is None
        assert reign.since < time.time() + 60


async def test_one_who_slept_past_the_deadline_sends_nothing_more_and_is_deposed() -> None:
    clock = Clock()
    async with LeaseServer() as server, standing(server, "one", clock) as (elector, task):
        await elector.leading.wait()
        clock.slept_seconds += 20
        writes = server.lease_writes
        with pytest.raises(NotLeading):
            elector.check()
        with pytest.raises(Deposed, match="not renewed in time: the process slept past its deadline"):
            await task
        assert server.lease_writes == writes
        await elector.release()
        assert server.lease_writes == writes, "not even a release: the lease may be another's"


async def test_one_whose_lease_was_taken_is_deposed_and_stops_at_once() -> None:
    async with LeaseServer() as server, standing(server, "one") as (elector, task):
        await elector.leading.wait()
        server.hold("thief")
        with pytest.raises(Deposed, match="thief holds the lease ns/pie now"):
            await task
        assert not elector.is_leader()
        assert server.holder == "thief"


async def test_one_who_cannot_reach_the_server_is_deposed_at_the_deadline_and_says_why() -> None:
    async with LeaseServer() as server, standing(server, "one") as (elector, task):
        await elector.leading.wait()
        server.down = True
        deadline = elector.deadline()
        assert deadline is not None
        with pytest.raises(Deposed, match="not renewed in time: cannot patch leases ns/pie"):
            await task
        assert deadline <= boottime() < deadline + 5


async def test_a_short_outage_a_lost_answer_and_a_foreign_touch_are_survived() -> None:
    async with LeaseServer() as server, standing(server, "one") as (elector, task):
        await elector.leading.wait()
        for trouble in ("outage", "lost answer", "touch"):
            writes = server.lease_writes
            server.down = trouble == "outage"
            server.lose_answers = int(trouble == "lost answer")
            if trouble == "touch":
                assert server.lease is not None
                server.hold("one", **server.lease["spec"])
            if server.down:
                deadline = elector.deadline()
                assert deadline is not None
                await eventually(lambda: boottime() > deadline - 1.2, "some failures")  # noqa: B023  used at once
                server.down = False
            await eventually(lambda: server.lease_writes > writes + 2, f"renewals after the {trouble}")  # noqa: B023
            assert not task.done()
            assert elector.is_leader()


async def test_an_election_waits_for_the_server_to_come() -> None:
    async with LeaseServer() as server:
        server.down = True
        async with standing(server, "one") as (elector, task):
            await eventually(lambda: not elector.is_leader() and not task.done(), "patience")
            server.down = False
            await asyncio.wait_for(elector.leading.wait(), 60)


@pytest.mark.parametrize("holder", [None, ""])
async def test_one_who_slept_while_taking_the_lease_takes_it_again(holder: str | None) -> None:
    clock = Clock()

    class Drowsy(LeaseServer):
        """The candidate sleeps past its deadline while its first write is answered."""

        async def _answer(self, request: web.Request) -> web.StreamResponse:
            if request.method != "GET" and not self.lease_writes:
                clock.slept_seconds += 20
            return await super()._answer(request)

    async with Drowsy() as server:
        if holder is not None:
            server.hold(holder)
        async with standing(server, "one", clock) as (elector, _):
            await asyncio.wait_for(elector.leading.wait(), 60)
            elector.check()


async def end(process: asyncio.subprocess.Process) -> None:
    """Kill a process if it still runs, and collect it."""
    if process.returncode is None:
        process.kill()
    await process.communicate()


async def test_a_frozen_process_is_succeeded_and_wakes_up_to_silence() -> None:
    """The real thing: SIGSTOP past the lease, a successor, SIGCONT; every write that arrives is counted."""
    async with LeaseServer() as server, AsyncExitStack() as stack:

        async def start(identity: str) -> asyncio.subprocess.Process:
            script = Path(elector_process.__file__)
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", elector_process.__name__, server.url, identity,
                stdout=PIPE, stderr=PIPE, cwd=script.parents[2],
            )  # fmt: skip
            stack.push_async_callback(end, process)
            return process

        one = await start("one")
        assert one.stdout is not None
        assert await one.stdout.readline() == b"leading\n"
        renewals = server.lease_writes
        await eventually(lambda: server.lease_writes > renewals, "a renewal")
        before = len(server.writes)
        # By then it has read the answer to the renewal, and the next one is not due yet.
        await eventually(lambda: len(server.writes) > before + 10, "writes of the leader")
        one.send_signal(signal.SIGSTOP)
        two = await start("two")
        assert two.stdout is not None
        assert await two.stdout.readline() == b"leading\n"
        two.send_signal(signal.SIGSTOP)  # so that every write from here on would be the first one's
        quiet = asyncio.get_running_loop().time() + 0.2  # what was on the wire has arrived
        await eventually(lambda: asyncio.get_running_loop().time() > quiet, "silence")
        writes = len(server.writes)
        lease_writes = server.lease_writes
        one.send_signal(signal.SIGCONT)
        _, errors = await one.communicate()
        assert one.returncode == elector_process.DEPOSED
        assert b"was not renewed in time: the process slept past its deadline" in errors
        assert len(server.writes) == writes
        assert server.lease_writes == lease_writes


def test_times_that_would_let_two_lead_are_refused() -> None:
    with pytest.raises(ValueError, match="lease duration > renew deadline"):
        LeaseTiming(lease_duration_seconds=10, renew_deadline_seconds=10)


def test_micro_times_have_six_digits() -> None:
    assert micro_time(0) == "1970-01-01T00:00:00.000000Z"
