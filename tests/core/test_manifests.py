"""What the manifests say that others rely on."""

import re
from typing import Any

import pytest

from pie.core import meshes
from pie.core.batch.manifests import cronjob, follow_up_job, retry_job
from pie.core.batch.naming import ANNOTATION_SCHEDULED
from pie.core.model import Image, Target
from pie.core.naming import ANNOTATION_FOLLOWS, ANNOTATION_SPEC_HASH, labels, target_of
from pie.core.parse import parse_probe
from pie.core.probepods import ProbePods, probe_pods
from pie.core.wire import Metadata, PieProbe
from pie.probe.main import parse
from tests.core.build import MOUNT, PROVISION, T0, probe

ROLE = {"matchExpressions": [{"key": "role", "operator": "Exists"}]}
NAMED = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]}


def follow_up(*terms: dict[str, Any]) -> dict[str, Any]:
    return follow_up_job(
        probe(node_selector_json={"nodeSelectorTerms": list(terms)}),
        PROVISION,
        cronjob="provision-p-c-abcdef",
        claim="",
        due_seconds=T0,
        without="n1",
        follows="job-uid",
        image=Image("image"),
    )


def test_a_follow_up_run_goes_anywhere_but_where_the_first_one_was() -> None:
    affinity = follow_up(ROLE, NAMED, {})["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    without = {"key": "metadata.name", "operator": "NotIn", "values": ["n1"]}
    terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [term["matchFields"] for term in terms] == [[without], [*NAMED["matchFields"], without]]
    assert terms[0]["matchExpressions"][: len(ROLE["matchExpressions"])] == ROLE["matchExpressions"]


def test_a_follow_up_run_is_of_the_same_target_and_due_time_under_a_name_of_its_own() -> None:
    metadata = follow_up(ROLE)["metadata"]
    assert len(metadata["name"]) <= 63
    assert metadata["name"] == follow_up(ROLE)["metadata"]["name"]
    assert metadata["ownerReferences"][0]["kind"] == "PieProbe"
    assert metadata["annotations"][ANNOTATION_FOLLOWS] == "job-uid"
    assert metadata["annotations"][ANNOTATION_SCHEDULED] == "2023-11-14T22:14:00Z"
    found = Metadata(namespace=metadata["namespace"], annotations=metadata["annotations"])
    assert target_of(found) == PROVISION


def test_a_suspended_cronjob_differs_from_one_that_runs_and_from_no_other() -> None:
    def spec_hash(**options: Any) -> str:
        made = cronjob(probe(), MOUNT, name="n", claim="c", image=Image("i"), **options)
        return str(made["metadata"]["annotations"][ANNOTATION_SPEC_HASH])

    assert spec_hash() == spec_hash(suppressed_since=None)
    assert spec_hash(suppressed_since=T0) == spec_hash(suppressed_since=T0 + 1)
    assert spec_hash() != spec_hash(suppressed_since=T0)


def test_a_pod_tells_its_probe_how_large_the_volume_should_be() -> None:
    made = cronjob(probe(pvc_capacity="1.5Gi"), MOUNT, name="n", claim="c", image=Image("i"))
    (container,) = made["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    command = container["command"]
    assert command[:3] == ["pie", "probe", "mount"]
    assert parse(command[2:]).capacity_bytes == 3 * 2**29


GO_PIES = ["pie", "probe", "mount", "--path", "/pie", "--capacity", str(100 * 2**20)]


@pytest.mark.parametrize(
    ("spec", "more"),
    [
        ({}, []),
        ({"io": {}, "integrity": {}}, []),
        ({"io": None, "integrity": {"enabled": True}}, []),
        # What Go pie does anyway: a probe of an older image, too, knows this command.
        (
            {
                "io": {
                    "blockSize": "4k",
                    "size": "50M",
                    "runtime": "1s",
                    "readWrite": "readwrite",
                    "direct": True,
                    "fsync": 0,
                    "ioDepth": 1,
                    "rateIops": 0,
                    "maxLatency": "1ms",
                }
            },
            [],
        ),
        (
            {"io": {"blockSize": "1M", "readWrite": "randread"}, "integrity": {"enabled": False}},
            ["--block-size", "1M", "--read-write", "randread", "--no-integrity"],
        ),
        (
            {
                "io": {
                    "size": "1G",
                    "runtime": "20s",
                    "direct": False,
                    "fsync": 1,
                    "ioDepth": 16,
                    "rateIops": 16,
                }
            },
            [
                "--size",
                "1G",
                "--runtime",
                "20",
                "--fsync",
                "1",
                "--io-depth",
                "16",
                "--rate-iops",
                "16",
                "--no-direct",
            ],
        ),
    ],
)
def test_a_mount_pod_is_the_same_but_for_what_the_spec_asks_for(
    spec: dict[str, Any], more: list[str]
) -> None:
    selector = {"nodeSelectorTerms": [ROLE]}
    stored = {"monitoringStorageClass": "c", "nodeSelector": selector}

    def template(target: Target, **fields: Any) -> dict[str, Any]:
        asked = parse_probe(PieProbe(metadata=Metadata(name="p"), spec=stored | fields))
        made = cronjob(asked, target, name="n", claim="c", image=Image("i"))
        return dict(made["spec"]["jobTemplate"]["spec"]["template"])

    plain, asked = template(MOUNT), template(MOUNT, **spec)
    (container,) = plain["spec"]["containers"]
    assert container["command"] == GO_PIES
    assert "args" not in container
    (container,) = asked["spec"]["containers"]
    assert container["command"] == GO_PIES + more
    options = parse(container["command"][2:])
    assert options.job.options() + ([] if options.integrity else ["--no-integrity"]) == more
    container["command"] = GO_PIES
    assert asked["metadata"]["annotations"].pop("pie.topolvm.io/probe-options", "") == " ".join(more)
    assert asked == plain
    assert template(PROVISION, **spec) == template(PROVISION)


def test_probe_pods_pull_their_image_as_they_are_told() -> None:
    private = Image("registry.example.com/pie:1", ("one", "two"), "Always")
    for image, secrets, policy in (
        (private, [{"name": "one"}, {"name": "two"}], "Always"),
        (Image("i"), None, None),
    ):
        made = cronjob(probe(), MOUNT, name="n", claim="c", image=image)
        retry = retry_job(probe(), PROVISION, cronjob="n", claim="", at_seconds=T0, image=image)
        for job in (made["spec"]["jobTemplate"], retry):
            spec = job["spec"]["template"]["spec"]
            (container,) = spec["containers"]
            assert container["image"] == image.reference
            assert spec.get("imagePullSecrets") == secrets
            assert container.get("imagePullPolicy") == policy


def test_what_the_operator_sets_for_probe_pods_is_in_every_pod() -> None:
    text = """{"labels": {"team": "storage", "pie-probe": "no"}, "annotations": {"owner": "me"},
        "securityContext": {"runAsUser": null, "runAsGroup": null, "fsGroup": null,
        "supplementalGroups": [5]}, "resources": {"requests": {"cpu": "10m"}}}"""
    image = Image("i", pods=probe_pods(text))
    made = cronjob(probe(), MOUNT, name="n", claim="c", image=image)
    retry = retry_job(probe(), PROVISION, cronjob="n", claim="", at_seconds=T0, image=image)
    for target, job in ((MOUNT, made["spec"]["jobTemplate"]), (PROVISION, retry)):
        template = job["spec"]["template"]
        assert template["metadata"]["labels"].items() >= {**labels(target), "team": "storage"}.items()
        assert template["metadata"]["annotations"]["owner"] == "me"
        assert template["metadata"]["annotations"]["linkerd.io/inject"] == "disabled"
        assert template["spec"]["securityContext"] == {
            "runAsNonRoot": True,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
            "supplementalGroups": [5],
        }
        (container,) = template["spec"]["containers"]
        assert container["resources"] == {"requests": {"cpu": "10m"}}


def test_the_resources_of_a_pieprobe_replace_the_operators() -> None:
    wanted = {"limits": {"memory": "64Mi"}}
    image = Image("i", pods=ProbePods(resources={"requests": {"cpu": "10m"}}))
    made = cronjob(probe(resources=wanted), MOUNT, name="n", claim="c", image=image)
    (container,) = made["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["resources"] == wanted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"label": {}}', "unknown field `label`"),
        ('{"labels": {"a": 1}}', "Expected `str`, got `int`"),
        ("[]", "Expected `object`, got `array`"),
        ("labels", "JSON is malformed"),
        ("", "Input data was truncated"),
    ],
)
def test_settings_of_probe_pods_that_are_wrong_are_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        probe_pods(text)


def test_every_pod_asks_meshes_to_leave_it_alone_and_keeps_its_own_labels() -> None:
    made = cronjob(probe(), MOUNT, name="n", claim="c", image=Image("i"))
    retry = retry_job(probe(), PROVISION, cronjob="n", claim="", at_seconds=T0, image=Image("i"))
    for target, job in (
        (MOUNT, made["spec"]["jobTemplate"]),
        (PROVISION, follow_up(ROLE)),
        (PROVISION, retry),
    ):
        marks = job["spec"]["template"]["metadata"]
        assert marks["labels"].items() >= {**labels(target), "sidecar.istio.io/inject": "false"}.items()
        assert marks["annotations"]["linkerd.io/inject"] == "disabled"
        # A pod that probes a node does not keep cluster-autoscaler from removing it.
        assert marks["annotations"]["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "true"
        # Selectors of Go pie's users find Jobs, CronJobs and PVCs by these and no more.
        assert made["metadata"]["labels"] == labels(MOUNT)
    assert made["spec"]["jobTemplate"]["metadata"]["labels"] == labels(MOUNT)


def test_what_meshes_read_is_fit_for_labels_and_annotations() -> None:
    for marks in (meshes.LABELS, meshes.ANNOTATIONS):
        for name, value in marks.items():
            assert re.fullmatch(r"[a-z0-9.]+/[A-Za-z-]{1,63}", name)
            assert value in {"false", "disabled", "none"}
