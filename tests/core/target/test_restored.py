"""A PVC with the annotations of another one: a backup tool restored it, and its volume is new."""

from pie.core.batch.cron import cron
from pie.core.model import Verdict
from pie.core.naming import ANNOTATION_IDENTITY, ANNOTATION_IDENTITY_OF, ANNOTATION_USUAL_LATENCY
from pie.core.result import IoStats, Latency, Outcome, RecordStats, Result, encode
from pie.core.run import RunFact
from pie.core.target.effects import Remember
from pie.core.target.facts import NodesFact, ScheduleFact, TargetFacts
from pie.core.target.state import TargetState
from pie.core.target.step import step
from pie.core.wire import Claim, ClaimStatus, Metadata
from tests.core.build import MOUNT, T0, at, pod, probe

OLD, NEW = "a" * 32, "b" * 32
PROBE = probe()
SLOW_HERE = Latency(iops=1, mean_seconds=1, p50_seconds=1, p99_seconds=1, max_seconds=1)


def test_its_first_run_is_good_and_binds_what_it_wrote_to_this_pvc() -> None:
    backed_up = {ANNOTATION_IDENTITY: OLD, ANNOTATION_IDENTITY_OF: "old", ANNOTATION_USUAL_LATENCY: "0.001"}
    restored = Claim(
        Metadata(name="c", uid="new", annotations=backed_up, creation_timestamp=at(-60)),
        status=ClaimStatus("Bound"),
    )
    records = RecordStats(identity_written=NEW, sequence_written=1)
    result = Result(probe="mount", outcome=Outcome.OK, records=records, io=IoStats(read=SLOW_HERE))
    shown = pod(scheduled=1, acknowledged=1, started=2, ended=5, message=encode(result).decode())
    facts = TargetFacts(
        known=True,
        probe=PROBE,
        calendar=cron(MOUNT, 60, 60),
        schedule=ScheduleFact(since=T0 - 100),
        claim=restored,
        runs=(RunFact("run", T0, T0, pod=shown, over_at=T0 + 5),),
        pods_as_of=T0 + 10,
        nodes=NodesFact(as_of=T0 + 10),
    )
    seen = step(TargetState(MOUNT), facts, T0 + 10)
    assert seen.state.standing.verdict is Verdict.OK
    (remembered,) = [each for each in seen.effects if isinstance(each, Remember)]
    assert remembered.claim_uid == "new"
    assert remembered.annotations == {ANNOTATION_IDENTITY: NEW, ANNOTATION_IDENTITY_OF: "new"}
    assert seen.state.volume is not None
    assert seen.state.volume.latency is not None
    assert seen.state.volume.latency.usual is None, "what was usual on another volume says nothing here"
