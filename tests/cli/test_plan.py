"""`pie plan` as a user runs it: from flags, from a manifest, and against a cluster."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from pie.cli.app import app
from pie.embedded.machines import STORAGE_CLASS
from tests.cli.conftest import within
from tests.embedded.conftest import PlainApi, Start
from tests.harness import CRD, apply_probe, pieprobe


def manifest(tmp_path: Path, *documents: object) -> str:
    path = tmp_path / "probes.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return str(path)


async def test_it_names_the_smallest_ceiling_first_and_what_to_use_instead() -> None:
    ended = await within("plan", "--nodes", "5000", "--period", "1")
    assert ended.status == 1
    assert ended.said.startswith("too much: 7 ceilings of the cluster would be passed\n")
    assert "recommended: use runner Pod and probePeriod 17" in ended.said
    _, _, rows = ended.said.partition("CEILING")
    assert rows.splitlines()[1].startswith("job-controller")
    assert (await within("plan", "--nodes", "5000", "--period", "17", "--runner", "Pod")).status == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--nodes", "5000"),
        ("--nodes", "20000", "--attach", "--kubernetes", "1.37", "--volumes-per-node", "20"),
        ("--nodes", "1", "--mount-only"),
    ],
)
def test_its_table_fits_a_terminal_of_80_columns(arguments: tuple[str, ...]) -> None:
    ended = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["plan", *arguments])
    assert max(map(len, ended.stdout.splitlines())) <= 80
    for row in ended.stdout.partition("CEILING")[2].partition("\n\n")[0].splitlines()[1:-1]:
        assert row.rstrip().endswith(("min", " s", " -")), f"a row is wrapped: {row}"


async def test_as_json_it_says_of_each_figure_where_it_is_from() -> None:
    ended = await within("plan", "--nodes", "300", "--runner", "Pod", "--kubernetes", "1.37", "-o", "json")
    found = json.loads(ended.said)
    assert {each["source"] for each in found["lines"]} == {"measured", "calculated"}
    sources = {each["what"]: each["source"] for each in found["lines"]}
    assert sources["create and delete the pod"] == "measured"
    assert sources["condition Unused of the PVC"] == "calculated"
    shares = [each["share"] for each in found["ceilings"]]
    assert shares == sorted(shares, reverse=True)
    assert ended.status == (1 if found["passed"] else 0)
    assert found["recommendation"]["demands"][0]["runner"] == "Pod"


async def test_a_manifest_may_have_several_pieprobes_and_other_objects(tmp_path: Path) -> None:
    slow = pieprobe("slow", "fast", "x", probePeriod=10, disableProvisionProbe=True, runner="Pod")
    listed = {"kind": "List", "items": [pieprobe("quick", "fast", "x"), {"kind": "ConfigMap"}]}
    path = manifest(tmp_path, slow, listed, yaml.safe_load(CRD.read_text()))
    found = json.loads((await within("plan", "-f", path, "--nodes", "10", "-o", "json")).said)
    asked = [(each["probe"], each["period_seconds"], each["runner"]) for each in found["probes"]]
    assert asked == [("slow", 600, "Pod"), ("quick", 60, "CronJob")]
    assert [each["provision"] for each in found["probes"]] == [False, True]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "how many nodes? Use --nodes, or --from-cluster"),
        (("--nodes", "1", "--runner", "Deployment"), "--runner must be CronJob or Pod"),
        (("--nodes", "1", "--period", "0"), "--period must be from 30 seconds to 59 minutes"),
        (("--nodes", "1", "--period", "60"), "--period must be from 30 seconds to 59 minutes"),
        (("--nodes", "1", "--period", "90s"), "--period must be whole minutes with runner CronJob"),
        (("--nodes", "1", "--period", "soon"), "--period"),
        (("--nodes", "1", "--size", "much"), "--size: 'much' is not a quantity"),
        (("--nodes", "1", "--kubernetes", "new"), "'new' is not a version of Kubernetes"),
        (("--nodes", "1", "--mount-only", "--provision-only"), "exclude each other"),
        (("--nodes", "1", "-f", "/nowhere/probe.yaml"), "cannot read /nowhere/probe.yaml"),
    ],
)
async def test_what_cannot_be_calculated_is_refused_in_one_line(
    arguments: tuple[str, ...], words: str
) -> None:
    ended = await within("plan", *arguments)
    assert ended.status == 2
    assert words in ended.complained
    assert len(ended.complained.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: ConfigMap", "the manifest has no PieProbe"),
        ("", "the manifest has no PieProbe"),
        ("- 1", "the manifest has no PieProbe"),
        ("{", "the manifest is not YAML"),
        ("a: 2030-13-45", "the manifest is not YAML"),
        ("[" * 2_000, "the manifest is not YAML"),
        ("kind: PieProbe\n1: 2", "cannot be read"),
        ("kind: PieProbe", "is required"),
        ("kind: PieProbe\nmetadata: 7", "cannot be read"),
        ("kind: PieProbe\nspec: {monitoringStorageClass: c, probePeriod: 99}", "spec.probePeriod"),
    ],
)
async def test_a_manifest_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "probe.yaml"
    path.write_text(text)
    ended = await within("plan", "--nodes", "1", "-f", str(path))
    assert ended.status == 2
    assert words in ended.complained
    assert len(ended.complained.splitlines()) == 1


async def test_against_a_cluster_it_counts_nodes_and_asks_whether_the_driver_attaches(
    start_embedded: Start, tmp_path: Path
) -> None:
    cluster = await start_embedded(nodes=2)
    where = ("--from-cluster", "--kubeconfig", str(cluster.kubeconfig), "-n", "pie", "-o", "json")
    nothing = await within("plan", *where)
    assert nothing.status == 2
    assert "there is no PieProbe in the namespace pie; name a manifest with -f" in nothing.complained
    async with PlainApi(cluster.front.address) as api:
        await apply_probe(api, "pie", pieprobe("stored", STORAGE_CLASS, "kubernetes.io/os"))
    path = manifest(tmp_path, pieprobe("planned", "absent", "no-such-label", probePeriod=5))
    stored = json.loads((await within("plan", *where)).said)
    assert [(each["probe"], each["nodes"], each["attach"]) for each in stored["probes"]] == [
        ("stored", 2, False)
    ]
    planned = json.loads((await within("plan", *where, "-f", path)).said)
    assert [(each["probe"], each["nodes"]) for each in planned["probes"]] == [("planned", 0)]
    assert planned["notes"] == [
        "not counted: stored, in namespace pie; pie plan --from-cluster counts them",
        "there is no StorageClass absent: planned is not probed yet",
    ]
