"""Which Go programs there are, and where they are kept."""

from pathlib import Path

import pytest

from testbed import build
from testbed.build import BuildError, Program


def test_every_pinned_program_is_found_by_name() -> None:
    kubernetes = {"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet"}
    assert kubernetes | {"etcd", "kwok", "csi-provisioner", "csi-attacher", "pause"} <= set(build.programs())


def test_other_versions_of_kubernetes_are_not_among_the_usual_programs() -> None:
    rare = build.programs().keys() - build.usual_programs().keys()
    suffixes = [suffix for suffix in build.kubernetes_versions().values() if suffix]
    components = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")
    assert rare == {f"{component}-{suffix}" for component in components for suffix in suffixes}
    assert all(pin.startswith(f"{suffix}.") for pin, suffix in build.kubernetes_versions().items() if suffix)


def test_kubernetes_is_told_the_version_that_its_module_is_pinned_to() -> None:
    program = build.programs()["kubelet"]
    version = (program.module / "go.mod").read_text().partition("require k8s.io/kubernetes ")[2].split()[0]
    assert program.linker_flags.endswith(f"version.gitVersion={version}")
    assert "-X" not in build.programs()["etcd"].linker_flags


def test_a_version_at_the_end_of_a_path_is_no_name(tmp_path: Path) -> None:
    tools = 'import (\n\t_ "a.example/x/cmd/tool/v3"\n\t_ "b.example/server/v3" // other\n)\n'
    module = tmp_path / "module"
    module.mkdir()
    (module / "go.mod").write_text("module m\n")
    (module / "tools.go").write_text(tools)
    assert {name: program.package for name, program in build.find_programs(tmp_path).items()} == {
        "tool": "a.example/x/cmd/tool/v3",
        "other": "b.example/server/v3",
    }


def test_another_pin_or_another_flag_is_another_place_in_the_cache(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module m\n")
    program = Program("tool", tmp_path, ".")
    first = build.fingerprint(program)
    assert build.fingerprint(program) == first
    assert build.fingerprint(Program("tool", tmp_path, ".", static=True)) != first
    (tmp_path / "go.sum").write_text("x\n")
    assert build.fingerprint(program) != first


async def test_an_unknown_program_is_named_with_those_that_there_are() -> None:
    with pytest.raises(BuildError, match=r"no Go program 'helm2' .*kubelet"):
        await build.binary("helm2")


async def test_without_go_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(BuildError, match=r"install Go 1\.26"):
        await build.binary("etcd")


@pytest.mark.real  # for its length only: Go compiles its runtime
async def test_a_version_of_kubernetes_leaves_no_build_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    module = tmp_path / "modules/kubernetes-1.0"
    for name in ("one", "two"):
        (module / name).mkdir(parents=True)
        (module / name / "main.go").write_text("package main\n\nfunc main() {}\n")
    (module / "go.mod").write_text("module m\n\ngo 1.25.0\n")
    imports = 'import (\n\t_ "m/one"\n\t_ "m/two"\n)\n'
    (module / "tools.go").write_text(f"//go:build tools\n\npackage tools\n\n{imports}")
    programs = build.find_programs(module.parent)
    directory = build.place(programs["one"]).parent
    directory.mkdir(parents=True)
    await build.build_module(programs.values())
    assert sorted(path.name for path in directory.iterdir()) == ["one", "two"]


def test_the_oldest_kubernetes_that_is_built_whole_is_the_oldest_api_server() -> None:
    oldest = (build.MODULES / "kubernetes-oldest" / "go.mod").read_text()
    assert f"require k8s.io/kubernetes v{min(build.kubernetes_versions())}\n" in oldest
