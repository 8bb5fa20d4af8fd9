"""`pie manifests` prints an installation that kubectl can apply."""

from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from pie.cli.app import app
from pie.core.plaininstall import IMAGE, NAMESPACE, PULL_SECRET
from pie.packaged import pieprobe_crd

REFERENCE = "registry.example.com/pie:1.0"


def printed(*arguments: str) -> list[dict[str, Any]]:
    result = CliRunner().invoke(app, ["manifests", *arguments])
    assert result.exit_code == 0, result.stderr
    assert not any(each in result.stdout for each in (IMAGE, NAMESPACE, PULL_SECRET)), "a placeholder"
    return [each for each in yaml.safe_load_all(result.stdout) if each]


def test_it_has_all_that_pie_needs_in_the_namespace_with_the_image() -> None:
    crd, namespace, *more = printed("--image", REFERENCE, "--namespace", "storage")
    assert crd == pieprobe_crd()
    assert (namespace["kind"], namespace["metadata"]["name"]) == ("Namespace", "storage")
    kinds = {each["kind"]: each for each in more}
    wanted = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "Deployment"}
    assert wanted | {"Service", "PodDisruptionBudget"} <= kinds.keys()
    assert {each["metadata"].get("namespace", "storage") for each in more} == {"storage", "kube-node-lease"}
    assert kinds["ClusterRoleBinding"]["subjects"][0]["namespace"] == "storage"
    pod = kinds["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == REFERENCE
    assert {f"--container-image={REFERENCE}", "--namespace=storage"} <= set(container["args"])
    assert "imagePullSecrets" not in pod
    assert "helm" not in yaml.safe_dump_all(more)


def test_pull_secrets_reach_the_controller_and_the_probe_pods() -> None:
    arguments = ("--image-pull-secret", "one", "--image-pull-secret", "two")
    (deployment,) = (
        each for each in printed("--image", REFERENCE, *arguments) if each["kind"] == "Deployment"
    )
    pod = deployment["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]
    assert {"--image-pull-secret=one", "--image-pull-secret=two"} <= set(pod["containers"][0]["args"])


def test_the_crd_alone_needs_no_image() -> None:
    assert printed("--only", "crd") == [pieprobe_crd()]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--image is missing"),
        (("--image", 'x"\nkind: Secret'), "cannot be an image"),
        (("--image", REFERENCE, "-n", "Pie"), "'Pie' cannot be a namespace"),
        (("--image", REFERENCE, "-n", "a: b"), "'a: b' cannot be a namespace"),
        (("--image", REFERENCE, "--image-pull-secret", "a b"), "'a b' cannot be the name of a Secret"),
    ],
)
def test_names_that_cannot_stand_in_yaml_are_refused(arguments: tuple[str, ...], words: str) -> None:
    result = CliRunner().invoke(app, ["manifests", *arguments])
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr
