"""What a missing driver explains of what a run says."""

from dataclasses import replace

import pytest

from pie.core.driver import Fault, Outage
from pie.core.judge import Judgement, by_area
from pie.core.model import Stage, Verdict
from pie.core.reasons import CERTAIN, Reason
from pie.core.target.driver import Met, blame

DRIVER = "d.example"
TAINT = Outage(Fault.TAINTED, "the driver has not removed taint d.example/x:NoSchedule", 0.0)
GONE = Outage(Fault.GONE, "driver d.example is not registered on the node any more", 0.0)
NEVER = Outage(Fault.NEVER, "driver d.example was never registered on the node", 0.0)
UNREGISTERED = "driver name d.example not found in the list of registered CSI drivers"
CRASHED = "rpc error: code = Unavailable desc = connection refused"

OK = Judgement(Verdict.OK, Reason.OK, on_time=True, succeeded=True, ended=True)
RUNNING = Judgement(Verdict.PENDING, Reason.PENDING, on_time=True)


def late(reason: Reason, stage: Stage, message: str = CRASHED) -> Judgement:
    """Return what a run says that did not start in time."""
    return by_area(Judgement(Verdict.LATE, reason, message, stage, on_time=False, ended=True))


MOUNT_FAILED = late(Reason.MOUNT_FAILED, Stage.MOUNT)
NOT_FOUND = late(Reason.MOUNT_FAILED, Stage.MOUNT, UNREGISTERED)
PROVISIONER_SILENT = late(Reason.PROVISIONER_SILENT, Stage.PROVISION)
TAINTED = late(Reason.TAINTED, Stage.SCHEDULE, "1 node(s) had untolerated taint {d.example/x: }.")
UNNAMED_TAINT = late(Reason.TAINTED, Stage.SCHEDULE, "3 node(s) had untolerated taint(s).")
FOREIGN_TAINT = late(Reason.TAINTED, Stage.SCHEDULE, "1 node(s) had untolerated taint {gpu: }.")


@pytest.mark.parametrize(
    ("said", "met", "reason"),
    [
        # Nothing is known of the driver: the run speaks for itself.
        (MOUNT_FAILED, Met(DRIVER), Reason.MOUNT_FAILED),
        (MOUNT_FAILED, Met(DRIVER, there=True), Reason.MOUNT_FAILED),
        # Its taint, or its registration that is gone.
        (MOUNT_FAILED, Met(DRIVER, TAINT), Reason.DRIVER_NOT_READY),
        (MOUNT_FAILED, Met(DRIVER, GONE, there=True), Reason.DRIVER_NOT_READY),
        (PROVISIONER_SILENT, Met(DRIVER, GONE, there=True), Reason.DRIVER_NOT_READY),
        (late(Reason.NOT_SCHEDULED, Stage.SCHEDULE), Met(DRIVER, TAINT), Reason.DRIVER_NOT_READY),
        # Never registered: the target was well once, or it was not.
        (MOUNT_FAILED, Met(DRIVER, NEVER, there=True), Reason.DRIVER_NOT_READY),
        (MOUNT_FAILED, Met(DRIVER, NEVER), Reason.DRIVER_ABSENT),
        (PROVISIONER_SILENT, Met(DRIVER, NEVER), Reason.DRIVER_ABSENT),
        # The words of a run, whatever the CSINodes say.
        (NOT_FOUND, Met(DRIVER, there=True), Reason.DRIVER_NOT_READY),
        (NOT_FOUND, Met(DRIVER), Reason.DRIVER_ABSENT),
        (NOT_FOUND, Met(DRIVER, anywhere=False), Reason.DRIVER_NOT_READY),
        (late(Reason.DRIVER_NOT_READY, Stage.MOUNT), Met(DRIVER), Reason.DRIVER_ABSENT),
        (late(Reason.DRIVER_NOT_READY, Stage.MOUNT), Met(DRIVER, there=True), Reason.DRIVER_NOT_READY),
        # The scheduler names a taint: the driver's own, or another.
        (TAINTED, Met(DRIVER), Reason.DRIVER_NOT_READY),
        (TAINTED, Met(DRIVER, pinned=True), Reason.TAINTED),
        (TAINTED, Met(DRIVER, TAINT, pinned=True), Reason.DRIVER_NOT_READY),
        (UNNAMED_TAINT, Met(DRIVER), Reason.TAINTED),
        (UNNAMED_TAINT, Met(DRIVER, TAINT), Reason.DRIVER_NOT_READY),
        (UNNAMED_TAINT, Met(DRIVER, GONE, there=True), Reason.TAINTED),
        (FOREIGN_TAINT, Met(DRIVER), Reason.TAINTED),
        (FOREIGN_TAINT, Met(DRIVER, GONE, there=True), Reason.TAINTED),
        # What the driver does not explain.
        (late(Reason.IMAGE_PULL, Stage.START), Met(DRIVER, TAINT), Reason.IMAGE_PULL),
        (late(Reason.INSUFFICIENT_RESOURCES, Stage.SCHEDULE), Met(DRIVER, NEVER), None),
        (late(Reason.HUNG, Stage.IO), Met(DRIVER, GONE), Reason.HUNG),
    ],
)
def test_the_reason_of_a_bad_run(said: Judgement, met: Met, reason: Reason | None) -> None:
    found = blame(said, met)
    assert found.reason is (reason or said.reason)
    if found != said:
        assert found.stage is Stage.MOUNT
        assert said.message in found.message
    absent = found.reason is Reason.DRIVER_ABSENT
    if found.reason is Reason.DRIVER_NOT_READY:
        assert (found.verdict, found.on_time) == (Verdict.LATE, False)
    if absent:
        assert (found.verdict, found.on_time) == (Verdict.INCONCLUSIVE, None)


def test_a_good_run_is_late_where_the_taint_keeps_applications_away() -> None:
    found = blame(OK, Met(DRIVER, TAINT, TAINT))
    assert (found.verdict, found.reason, found.stage) == (Verdict.LATE, Reason.DRIVER_NOT_READY, Stage.MOUNT)
    assert (found.on_time, found.succeeded) == (False, True)
    assert "d.example/x" in found.message


@pytest.mark.parametrize("during", [TAINT, GONE, NEVER, None])
def test_a_good_run_stays_good_where_the_taint_went_or_only_the_csinode_says_something(
    during: Outage | None,
) -> None:
    assert blame(OK, Met(DRIVER, during)) == OK
    assert blame(RUNNING, Met(DRIVER, during)) == RUNNING


def test_whether_a_run_is_on_time_under_a_taint_is_known_at_its_end() -> None:
    found = blame(RUNNING, Met(DRIVER, TAINT, TAINT))
    assert (found.verdict, found.on_time) == (Verdict.PENDING, None)


@pytest.mark.parametrize("reason", sorted(CERTAIN))
@pytest.mark.parametrize("met", [Met(DRIVER, TAINT, TAINT), Met(DRIVER, NEVER)])
def test_what_a_run_read_on_its_volume_is_never_the_drivers_absence(reason: Reason, met: Met) -> None:
    said = replace(OK, verdict=Verdict.FAILED, reason=reason, stage=Stage.IO, succeeded=False)
    assert blame(said, met) == said


def test_maintenance_comes_first() -> None:
    said = replace(MOUNT_FAILED, verdict=Verdict.SUPPRESSED, reason=Reason.NODE_CORDONED, on_time=None)
    assert blame(said, Met(DRIVER, GONE, there=True)) == said
