"""How differences between versions of Kubernetes are read, and which versions can be asked for."""

from typing import Any

import pytest

from tests.versions.__main__ import main
from tests.versions.differences import DIFFERENCES, SCHEDULED, Record


def readings(**objects: list[list[dict[str, Any]]]) -> set[str]:
    """Return all that is read from the states of some objects."""
    record = Record()
    before = {"metadata": {"name": "before"}, "status": {}}
    for name, found in {"sleeper": [[before]], **objects}.items():
        getattr(record, name).update({str(number): states for number, states in enumerate(found)})
    return {each.read(record) for each in DIFFERENCES}


def pod(*, node: str = "", ready: str = "", nominated: str = "", phase: str = "Running") -> dict[str, Any]:
    conditions = [{"type": "PodReadyToStartContainers", "status": ready}] if ready else []
    status = {"phase": phase, "conditions": conditions, "nominatedNodeName": nominated}
    return {"metadata": {"labels": {"node": node} if node else {}}, "status": status}


def test_a_condition_is_read_from_its_first_true_to_the_end_of_the_pod() -> None:
    states = [pod(), pod(ready="False"), pod(ready="True"), pod(ready="True")]
    assert "True → False" in readings(pods=[[*states, pod(ready="False", phase="Succeeded")]])
    assert "never True" in readings(pods=[[pod(), pod(phase="Succeeded")]])
    assert "no pod ended" in readings(pods=[states])


def test_a_nominated_node_counts_for_the_kind_of_the_run_whenever_it_was_there() -> None:
    provision = [pod(), pod(nominated="n1"), pod()]
    mounts = [[pod(node="n1", nominated="n1")], [pod(node="n1")]]
    assert "all provision runs, some mount runs" in readings(pods=[provision, *mounts])
    assert "all provision runs, no mount runs" in readings(pods=[provision, mounts[1]])


def test_jobs_without_a_cronjob_do_not_count_for_its_annotation() -> None:
    def job(owner: str, *annotations: str) -> dict[str, Any]:
        return {
            "metadata": {
                "annotations": dict.fromkeys(annotations, ""),
                "ownerReferences": [{"kind": owner}],
            }
        }

    assert "all" in readings(jobs=[[job("CronJob", SCHEDULED)], [job("PieProbe")]])
    assert "some" in readings(jobs=[[job("CronJob", SCHEDULED)], [job("CronJob")]])


def test_a_condition_that_a_pvc_had_only_for_a_while_is_read() -> None:
    unused = {"metadata": {}, "status": {"conditions": [{"type": "Unused", "status": "True"}]}}
    assert "`Unused`" in readings(pvcs=[[unused, {"metadata": {}, "status": {}}]])


def test_a_container_that_is_not_ready_for_a_moment_is_read() -> None:
    def state(*, ready: bool) -> dict[str, Any]:
        statuses = [{"ready": ready, "started": True}]
        return {"metadata": {"name": "before"}, "status": {"containerStatuses": statuses}}

    sleeper = [[state(ready=ready) for ready in (False, True, False, True)]]
    assert "`ready` True → False → True, `started` True" in readings(sleeper=sleeper)


def test_a_version_that_is_not_pinned_is_refused_with_those_that_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["--versions", "1.12,1.35"])
    assert "not pinned: 1.12 (there are: 1.33, 1.34, 1.35" in capsys.readouterr().err
