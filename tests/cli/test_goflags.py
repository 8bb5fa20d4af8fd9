"""`pie controller` takes the flags of Go pie's controller: they work, are ignored by name, or are refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.cli.goflags import FLAGS, Fate, read
from pie.embedded.kinds import LEASES
from tests.cli.conftest import started, within
from tests.embedded.conftest import Start
from tests.harness import ROOT


@pytest.mark.parametrize(
    ("arguments", "read_as"),
    [
        (["--leader-elect"], ["--leader-elect"]),
        (["--leader-elect=true"], ["--leader-elect"]),
        (["--leader-elect=T"], ["--leader-elect"]),
        (["--leader-elect=false"], ["--no-leader-elect"]),
        (["--leader-elect=0"], ["--no-leader-elect"]),
        (["--leader-elect", "true"], ["--leader-elect"]),
        (["--no-leader-elect"], ["--no-leader-elect"]),
        (["--leader-elect=true", "--leader-elect=false"], ["--leader-elect", "--no-leader-elect"]),
        (["--zap-log-level=debug"], ["--log-level", "debug"]),
        (["--zap-log-level", "ERROR"], ["--log-level", "error"]),
        (["--zap-log-level=panic"], ["--log-level", "error"]),
        (["--zap-log-level=5"], ["--log-level", "debug"]),
        (["--log-level", "info", "--zap-log-level=5"], ["--log-level", "debug", "--log-level", "info"]),
        (
            ["--metrics-bind-address", ":1", "--namespace=a"],
            ["--metrics-bind-address", ":1", "--namespace=a"],
        ),
        (["--namespace", "a", "--", "--v=4"], ["--namespace", "a", "--", "--v=4"]),
    ],
    ids=" ".join,
)
def test_a_flag_with_a_meaning_is_read_as_go_reads_it(arguments: list[str], read_as: list[str]) -> None:
    found = read(arguments)
    assert list(found.arguments) == read_as
    assert found.ignored == ()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--controller-url", "http://pie.pie.svc:8082"], ["--controller-url"]),
        (["--controller-url=http://pie.pie.svc:8082"], ["--controller-url"]),
        (["--enable-pprof"], ["--enable-pprof"]),
        (["--enable-pprof", "true"], ["--enable-pprof"]),
        (["--enable-pprof=true"], ["--enable-pprof"]),
        (["--zap-devel", "--zap-encoder", "json"], ["--zap-devel", "--zap-encoder"]),
        (["--zap-devel=false", "--zap-stacktrace-level=error"], ["--zap-devel", "--zap-stacktrace-level"]),
        (["--zap-time-encoding=rfc3339"], ["--zap-time-encoding"]),
        (["--v=4"], ["--v"]),
        (["--v", "4"], ["--v"]),
        (["-v", "4"], ["--v"]),
        (["-v=4"], ["--v"]),
        (["-v4"], ["--v"]),
        (["--logtostderr", "--stderrthreshold", "INFO"], ["--logtostderr", "--stderrthreshold"]),
        (["--logtostderr=false"], ["--logtostderr"]),
        (["--vmodule=", "--v=0", "--v=1"], ["--vmodule", "--v"]),
    ],
    ids=str,
)
def test_a_flag_without_a_meaning_goes_with_its_value_and_is_named_once(
    arguments: list[str], named: list[str]
) -> None:
    found = read(["--namespace", "a", *arguments, "--kube-api-qps=3"])
    assert found.arguments == ("--namespace", "a", "--kube-api-qps=3")
    assert list(found.ignored) == named


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--leader-elect=yes"], "--leader-elect: 'yes' is neither true nor false"),
        (["--leader-elect="], "--leader-elect: '' is neither true nor false"),
        (["--leader-elect", "false"], "write --leader-elect=false"),
        (["--zap-log-level=warn"], "'warn' is not debug, info, error, panic or a number above 0"),
        (["--zap-log-level=0"], "'0' is not debug"),
        (["--controller-url"], "--controller-url needs a value"),
        (["--monitoring-storage-class", "topolvm"], "set spec.monitoringStorageClass of a PieProbe"),
        (["--node-selector=a=b"], "set spec.nodeSelector of the PieProbes"),
        (["--probe-period=5"], "set spec.probePeriod of the PieProbes"),
        (["--create-probe-threshold=1m"], "set spec.probeThreshold of the PieProbes"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(arguments: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        read(arguments)
    assert words in str(refused.value)


@given(st.lists(st.text(max_size=20)))
def test_other_arguments_stay_as_they_are(arguments: list[str]) -> None:
    theirs = [each for each in arguments if not each.startswith("-")]
    assert read(theirs).arguments == tuple(theirs)


def test_every_flag_is_in_the_guide() -> None:
    guide = (ROOT / "docs" / "migrating.md").read_text()
    missing = {name for name in FLAGS if f"`--{name}`" not in guide}
    assert missing == set()


@pytest.mark.parametrize("name", sorted(name for name, flag in FLAGS.items() if flag.fate is Fate.REFUSED))
async def test_a_refused_flag_ends_the_controller_with_one_line(name: str) -> None:
    ended = await within("controller", "--container-image=x", f"--{name}=x")
    assert ended.status == 2
    (line,) = ended.complained.splitlines()
    assert line.startswith(f"pie controller: --{name} is a flag of versions of the Go implementation")


# As the chart of Go pie writes them, with pprof on.
OF_ITS_CHART = (
    *("controller", "--container-image", "ghcr.io/topolvm/pie:0.17.0", "--namespace", "pie"),
    *("--controller-url", "http://pie.pie.svc:8082", "--enable-pprof", "true"),
)
ANY_PORT = ("--metrics-bind-address", "127.0.0.1:0", "--health-probe-bind-address=127.0.0.1:0")


async def test_the_arguments_of_go_pies_chart_start_a_controller_that_leads(start_embedded: Start) -> None:
    cluster = await start_embedded(nodes=0)
    extra = ("--v=2", "--v=3", "--zap-devel", "--kubeconfig", str(cluster.kubeconfig))
    async with started(*OF_ITS_CHART, *ANY_PORT, *extra) as command:
        await command.says('"probing"')
        lease = cluster.registry.get(LEASES, "pie", "pie.topolvm.io")
        assert lease["spec"]["holderIdentity"]
        command.process.terminate()
        ended = await command.ended()
    assert ended.status == 0
    log = [json.loads(line) for line in command.lines]
    named = [each for each in log if each["event"] == "flags of the Go implementation are ignored"]
    assert [each["flags"] for each in named] == [["--controller-url", "--enable-pprof", "--v", "--zap-devel"]]


async def test_all_namespaces_have_one_leader_in_the_namespace_of_the_kubeconfig(
    start_embedded: Start,
) -> None:
    cluster = await start_embedded(nodes=0)
    where = ("--namespace", "", "--kubeconfig", str(cluster.kubeconfig))
    async with started("controller", "--container-image=x", *where, *ANY_PORT) as command:
        await command.says('"probing"')
        assert cluster.registry.get(LEASES, "pie", "pie.topolvm.io")["spec"]["holderIdentity"]
        assert any('"namespace": "all"' in line for line in command.lines)


async def test_no_image_is_refused_in_words() -> None:
    ended = await within("controller", "--container-image=", "--namespace=a")
    assert ended.status == 2
    (line,) = ended.complained.splitlines()
    assert "--container-image: the image of the probe pods is empty" in line
