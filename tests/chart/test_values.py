"""What the chart makes of values: accepted, or refused in words that say what to do."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pie.core.probepods import probe_pods
from pie.core.yamltext import read_documents, read_yaml
from tests.chart.golden import CASES
from tests.chart.helm import CHART, IMAGE, helm, notes, one, refusal, rendered

# helm may have to be built first.
pytestmark = pytest.mark.timeout(900)

Json = dict[str, Any]
ROOT = CHART.parents[1]
POLICIES = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
VALUES: Json = read_yaml((CHART / "values.yaml").read_text())


def deployment(*values: str, release: str = "pie") -> Json:
    return one("Deployment", *values, release=release)


def container(*values: str) -> Json:
    (found,) = deployment(*values)["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def test_the_uninstall_hook_is_off_and_cannot_keep_a_release_from_being_uninstalled() -> None:
    def hooks(*values: str) -> list[Json]:
        found = rendered(*values)
        return [each for each in found if "post-delete" in str(each["metadata"].get("annotations"))]

    assert hooks() == []
    *_, job = hooks("--set", "uninstall.stop=true")
    assert job["spec"]["activeDeadlineSeconds"] <= 60
    (found,) = job["spec"]["template"]["spec"]["containers"]
    assert found["args"][:2] == ["stop", "--best-effort"]
    assert "hook-failed" in job["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
    labels = deployment("--set", "uninstall.stop=true")["spec"]["selector"]["matchLabels"]
    assert not labels.items() <= job["spec"]["template"]["metadata"]["labels"].items()


def test_helm_finds_nothing_wrong_with_the_chart() -> None:
    result = helm("lint", "--strict", str(CHART), "--kube-version", "1.35.0", *IMAGE)
    assert result.returncode == 0, result.stdout + result.stderr


def test_without_an_image_it_says_what_to_set() -> None:
    assert "image.repository is empty: say where your cluster pulls pie's image from" in refusal()


def test_a_value_that_is_null_is_as_one_that_is_not_set() -> None:
    for values in ("image.tag=null", "nodeSelector=null,affinity=null,tolerations=null,podLabels=null"):
        assert container("--set", values) == container()


def test_a_section_that_is_null_is_refused_in_words() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    for section in (each for each in schema if "properties" in schema[each]):
        assert f"The value {section} is missing." in refusal(*IMAGE, "--set", f"{section}=null")


def test_an_image_by_digest_is_used_as_it_is() -> None:
    reference = "registry.example.com/pie@sha256:" + "0" * 64
    found = container("--set", f"image.reference={reference},image.tag=two")
    assert found["image"] == reference
    assert f"--container-image={reference}" in found["args"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ("image: {tag: 1.10}", "/image/tag': got number, want string"),
        ("imagePullSecrets: [registry]", "/imagePullSecrets/0': got string, want object"),
        ("image: {pullPolicy: always}", "/image/pullPolicy': value must be one of"),
        ("replicaCount: '2'", "/replicaCount': got string, want integer"),
        ("podAnnotations: {a: true}", "/podAnnotations/a': got boolean, want string"),
        ("serviceMonitor: {enable: true}", "additional properties 'enable' not allowed"),
        ("service: {ports: {}}", "additional properties 'ports' not allowed"),
        ("mistake: 1", "additional properties 'mistake' not allowed"),
        ("replicas: 3", "replicas is no value of this chart. Use replicaCount instead."),
        ("replicas: 0", "replicas is no value of this chart. Use replicaCount instead."),
        (
            "controller: {monitoringStorageClasses: [topolvm]}",
            "controller.monitoringStorageClasses is no value of this chart. Use spec.monitoringStorageClass",
        ),
        ("controller: {createProbeThreshold: 1m}", "Use spec.probeThreshold of the PieProbes"),
        ("controller: {nodeSelector: {a: b}}", "Use spec.nodeSelector of the PieProbes"),
        (
            "image: {repository: registry.example.com/topolvm/pie, tag: 0.17.0}",
            "image.tag: 0.17.0 is a version of the Go implementation",
        ),
        (
            "image: {repository: ghcr.io/topolvm/pie}",
            "ghcr.io/topolvm/pie is the image of the Go implementation",
        ),
    ],
)
def test_what_it_cannot_obey_is_refused_in_words(values: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text(values)
    # A value that the file sets too is the file's.
    assert words in refusal("--set", "image.architectures={amd64}", "--values", str(tmp_path / "values.yaml"))


def test_defaults_of_an_older_chart_are_refused_with_the_flag_to_use(tmp_path: Path) -> None:
    chart = shutil.copytree(CHART, tmp_path / "pie")
    (gos,) = (each for each in CASES if each.name.startswith("go-pie"))
    # What `helm upgrade --reuse-values` does: the old chart's values instead of this one's.
    shutil.copy(gos, chart / "values.yaml")
    result = helm("template", "pie", str(chart), "--kube-version", "1.35.0")
    assert result.returncode != 0
    assert "use --reset-then-reuse-values (Helm 3.14 or later) instead" in result.stderr


def test_the_schema_knows_every_value_and_no_value_without_a_default() -> None:
    def names(schema: Json) -> set[str]:
        refused = {
            key for key, value in schema["properties"].items() if "refused" in value.get("description", "")
        }
        return set(schema["properties"]) - refused - {"global"}

    schema = json.loads((CHART / "values.schema.json").read_text())
    assert names(schema) == set(VALUES)
    for key, value in schema["properties"].items():
        if "properties" in value:
            assert value["additionalProperties"] is False
            assert names(value) == set(VALUES[key]), key


def test_release_and_overrides_name_the_objects_as_go_pie_named_them() -> None:
    long = "a" * 53
    for release, values, name, app in (
        ("pie", (), "pie", "pie"),
        ("my-pie", (), "my-pie", "pie"),
        ("storage", (), "storage-pie", "pie"),
        (long, (), f"{long}-pie", "pie"),
        ("storage", ("--set", "nameOverride=probe"), "storage-probe", "probe"),
        ("storage", ("--set", "nameOverride=probe,fullnameOverride=mine"), "mine", "probe"),
    ):
        found = deployment(*values, release=release)
        selector = found["spec"]["selector"]["matchLabels"]
        assert found["metadata"]["name"] == name
        assert selector == {"app.kubernetes.io/name": app, "app.kubernetes.io/instance": release}
        assert selector.items() <= found["spec"]["template"]["metadata"]["labels"].items()


def test_a_named_service_account_gets_all_rights() -> None:
    manifests = rendered("--set", "serviceAccount.name=mine")
    accounts = {each["metadata"]["name"] for each in manifests if each["kind"] == "ServiceAccount"}
    bound = {
        subject["name"]
        for each in manifests
        if each["kind"] in {"RoleBinding", "ClusterRoleBinding"}
        for subject in each["subjects"]
    }
    assert accounts == bound == {"mine"}


def test_a_service_monitor_comes_only_when_asked_for() -> None:
    assert "ServiceMonitor" not in {manifest["kind"] for manifest in rendered()}
    enabled = ("--set", "serviceMonitor.enabled=true")
    monitor, service = one("ServiceMonitor", *enabled), one("Service", *enabled)
    wanted = monitor["spec"]["selector"]["matchLabels"]
    assert wanted.items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor"])
def test_prometheus_asks_as_the_web_config_file_wants_it(kind: str) -> None:
    monitor = f"{kind[0].lower()}{kind[1:]}"

    def endpoint(*values: str) -> Json:
        spec = one(kind, "--set", f"{monitor}.enabled=true", *values)["spec"]
        (found,) = spec.get("endpoints") or spec["podMetricsEndpoints"]
        assert isinstance(found, dict)
        return found

    secrets = ("--set", "webConfig.secrets={web,tls}")
    assert endpoint()["scheme"] == "http"
    assert endpoint(*secrets)["scheme"] == "https"
    assert endpoint(*secrets, "--set", f"{monitor}.scheme=http")["scheme"] == "http"
    proof = f"{monitor}.tlsConfig.serverName=pie,{monitor}.basicAuth.username.key=u"
    found = endpoint(*secrets, "--set", proof)
    assert found["tlsConfig"] == {"serverName": "pie"}
    assert found["basicAuth"] == {"username": {"key": "u"}}


def test_secrets_with_the_web_config_file_are_one_directory_beside_other_volumes() -> None:
    more = ("--set", "controller.extraVolumes[0].name=ca,controller.extraVolumeMounts[0].name=ca")
    assert "volumes" not in deployment()["spec"]["template"]["spec"]
    for others, volumes in (((), ["web-config"]), (more, ["web-config", "ca"])):
        spec = deployment("--set", "webConfig.secrets={web,tls}", *others)["spec"]["template"]["spec"]
        (found,) = spec["containers"]
        assert [each["name"] for each in spec["volumes"]] == volumes
        assert [each["name"] for each in found["volumeMounts"]] == volumes
        names = [each["secret"]["name"] for each in spec["volumes"][0]["projected"]["sources"]]
        assert names == ["web", "tls"]
        assert f"--web-config-file={found['volumeMounts'][0]['mountPath']}/web-config.yaml" in found["args"]


def test_a_priority_class_that_autoscalers_ignore_comes_only_when_asked_for() -> None:
    assert "PriorityClass" not in {manifest["kind"] for manifest in rendered()}
    found = one("PriorityClass", "--set", "probePriorityClass.enabled=true", namespace="storage")
    assert found["metadata"]["name"] == "storage-pie-probe"
    assert found["value"] < -10
    assert (found["preemptionPolicy"], found["globalDefault"]) == ("Never", False)
    named = one("PriorityClass", "--set", "probePriorityClass.enabled=true,probePriorityClass.name=mine")
    assert named["metadata"]["name"] == "mine"


def test_a_disruption_budget_needs_a_second_replica() -> None:
    assert one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    for values in ("replicaCount=1", "podDisruptionBudget.enabled=false"):
        assert "PodDisruptionBudget" not in {each["kind"] for each in rendered("--set", values)}


def test_the_crd_can_be_left_to_another_release() -> None:
    kinds = {each["kind"] for each in rendered("--set", "crd.install=false")}
    assert "CustomResourceDefinition" not in kinds


def test_cluster_autoscaler_may_evict_the_controller() -> None:
    key = "cluster-autoscaler.kubernetes.io/safe-to-evict"
    for values in ((), ("--set-string", "podAnnotations.a=b")):
        annotations = deployment(*values)["spec"]["template"]["metadata"]["annotations"]
        assert annotations[key] == "true"
        assert annotations.get("a") == ("b" if values else None)


def test_the_flags_are_those_that_the_controller_has() -> None:
    (everything,) = (each for each in CASES if each.name.startswith("everything"))
    arguments = container("--values", str(everything), "--set", "controller.extraArgs={--help}")["args"]
    command = [sys.executable, "-m", "pie", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("openshift", [False, True])
def test_what_probe_pods_get_is_what_the_controller_reads(*, openshift: bool) -> None:
    values = (
        "--set",
        f'openshift={str(openshift).lower()},probePods.labels.a=<\'"b">,probePods.resources.requests.cpu=1',
    )
    spec = deployment(*values)["spec"]["template"]["spec"]
    (argument,) = (each for each in spec["containers"][0]["args"] if each.startswith("--probe-pods="))
    pods = probe_pods(argument.partition("=")[2])
    assert pods.labels == {"a": '<\'"b">'}
    assert pods.resources == {"requests": {"cpu": 1, "memory": "32Mi"}}
    chosen_by_the_cluster = {"runAsUser", "runAsGroup", "fsGroup"} if openshift else set()
    assert pods.security_context == dict.fromkeys(chosen_by_the_cluster)
    assert spec["securityContext"].keys().isdisjoint(chosen_by_the_cluster)
    assert ("runAsUser" in spec["securityContext"]) is not openshift


def test_what_authors_may_ask_for_is_bounded_by_values() -> None:
    values = (
        "authorBounds.priorityClasses={low,lower}",
        "authorBounds.tolerations={gpu:NoSchedule}",
        "authorBounds.maxPvcCapacity=1Gi",
        "authorBounds.maxResources.cpu=500m",
        "authorBounds.maxTargets=100",
    )
    wanted = {
        "--allowed-priority-classes=low,lower",
        "--allowed-tolerations=gpu:NoSchedule",
        "--max-pvc-capacity=1Gi",
        "--max-resources=cpu=500m",
        "--max-targets=100",
    }
    for settings, expected in (((), set()), (values, wanted)):
        arguments = container(*(each for value in settings for each in ("--set", value)))["args"]
        assert {each for each in arguments if each.startswith(("--allowed-", "--max-"))} == expected


def test_an_admission_policy_comes_only_when_asked_for_and_for_the_namespace_of_the_release() -> None:
    policy = ("--set", "authorBounds.admissionPolicy=true")
    assert not {each["kind"] for each in rendered("--set", "authorBounds.maxPvcCapacity=1Gi")} & POLICIES
    binding = one(
        "ValidatingAdmissionPolicyBinding",
        *policy,
        "--set",
        "authorBounds.maxPvcCapacity=1Gi",
        namespace="storage",
    )
    selected = binding["spec"]["matchResources"]["namespaceSelector"]["matchLabels"]
    assert selected == {"kubernetes.io/metadata.name": "storage"}
    assert binding["spec"]["policyName"] == binding["metadata"]["name"] == "storage-pie"


def test_an_admission_policy_without_anything_to_enforce_is_refused() -> None:
    values = ("--set", "authorBounds.admissionPolicy=true,authorBounds.maxTargets=3")
    assert "authorBounds.admissionPolicy is true, but there is nothing to enforce" in refusal(*IMAGE, *values)


def test_probe_pods_pull_their_image_as_the_controller_does() -> None:
    values = ("--set", "imagePullSecrets[0].name=one,imagePullSecrets[1].name=two,image.pullPolicy=Always")
    spec = deployment(*values)["spec"]["template"]["spec"]
    assert spec["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]
    wanted = {"--image-pull-secret=one", "--image-pull-secret=two", "--image-pull-policy=Always"}
    assert wanted <= set(spec["containers"][0]["args"])


@pytest.mark.parametrize(("value", "named"), [("true", True), ("false", False), ("null", False)])
def test_the_notes_name_a_value_that_has_no_effect(value: str, *, named: bool, tmp_path: Path) -> None:
    found = notes(tmp_path, "--set", f"controller.enablePProf={value}")
    assert ("controller.enablePProf has no effect" in found) is named


def test_the_notes_say_what_to_do_next(tmp_path: Path) -> None:
    found = notes(tmp_path)
    assert "kubectl apply -n storage" in found
    assert "kubectl get -n storage pieprobe" in found


def test_helm_test_checks_a_storage_class_with_the_rights_that_the_docs_name() -> None:
    manifests = rendered("--set", "test.storageClass=local,imagePullSecrets[0].name=one")
    hooks = [each for each in manifests if "helm.sh/hook" in each["metadata"].get("annotations", {})]
    (pod,) = (each for each in hooks if each["kind"] == "Pod")
    command = [sys.executable, "-m", "pie", *pod["spec"]["containers"][0]["args"], "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr
    assert "--image-pull-secret=one" in command
    documented = re.search(
        r"these rights:\n\n```yaml\n(.*?)```", (ROOT / "docs/cli.md").read_text(), re.DOTALL
    )
    assert documented is not None
    needed, given = (
        {
            (group, resource, verb, each["kind"], each["metadata"].get("namespace") == "kube-node-lease")
            for each in roles
            for rule in each["rules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }
        for roles in (
            list(read_documents(documented[1]))[:3],
            [each for each in hooks if each["kind"] in {"Role", "ClusterRole"}],
        )
    )
    assert given == needed
    (controller,) = (each for each in manifests if each["kind"] == "Deployment")
    assert not controller["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()


def test_without_a_storage_class_there_is_no_helm_test() -> None:
    assert not [each for each in rendered() if "helm.sh/hook" in each["metadata"].get("annotations", {})]


def test_pieprobes_are_created_when_their_kind_is_served_and_until_then_the_notes_say_what_to_do(
    tmp_path: Path,
) -> None:
    values = ("--set", "pieProbes.local.monitoringStorageClass=local")
    served = ("--api-versions", "pie.topolvm.io/v1alpha1/PieProbe")
    assert "PieProbe" not in {each["kind"] for each in rendered(*values)}
    probe = one("PieProbe", *values, *served)
    assert (probe["metadata"]["name"], probe["spec"]) == ("local", {"monitoringStorageClass": "local"})
    assert "annotations" not in probe["metadata"], "a hook is deleted and created again, with its volumes"
    for place, settings, hint in (("first", values, True), ("later", (*values, *served), False)):
        found = notes(tmp_path / place, *settings)
        assert "PieProbes of this release: local." in found
        assert ("They are NOT created yet" in found) is hint
