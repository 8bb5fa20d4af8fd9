"""The image tar: what its readers look for is there, and equal content gives an equal image."""

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from image.archive import Layer, add_tree, write

RUN = {"User": "1001:1001", "Entrypoint": ["pie"]}


def layer(directory: Path, name: str, content: str) -> Layer:
    """Make a layer with one file."""
    stage = directory / name
    (stage / "usr").mkdir(parents=True)
    (stage / "usr" / "file").write_text(content)
    path = directory / f"{name}.tar"
    with tarfile.open(path, "w") as tar:
        add_tree(tar, stage)
    return Layer.of(path)


def read(path: Path) -> dict[str, bytes]:
    """Return the members of a tar by name."""
    with tarfile.open(path) as tar:
        files = {member.name: tar.extractfile(member) for member in tar if member.isfile()}
        return {name: file.read() for name, file in files.items() if file}


@pytest.fixture
def layers(tmp_path: Path) -> list[Layer]:
    """Make two layers."""
    return [layer(tmp_path, "base", "below"), layer(tmp_path, "top", "above")]


def image(output: Path, layers: list[Layer], **more: Any) -> str:
    """Write an image of the layers."""
    return write(output, name="pie.test/pie:1.0", architecture="amd64", run=RUN, layers=layers, **more)


def test_every_blob_is_named_by_its_digest_and_the_index_leads_to_all(
    tmp_path: Path, layers: list[Layer]
) -> None:
    image_id = image(tmp_path / "image.tar", layers)
    files = read(tmp_path / "image.tar")
    for name, content in files.items():
        if name.startswith("blobs/"):
            assert name == f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"

    def blob(descriptor: dict[str, Any]) -> bytes:
        content = files["blobs/" + descriptor["digest"].replace(":", "/")]
        assert len(content) == descriptor["size"]
        return content

    (entry,) = json.loads(files["index.json"])["manifests"]
    manifest = json.loads(blob(entry))
    config = json.loads(blob(manifest["config"]))
    assert manifest["config"]["digest"] == f"sha256:{image_id}"
    assert config["config"] == RUN
    assert config["rootfs"]["diff_ids"] == [item["digest"] for item in manifest["layers"]]
    assert [blob(item) for item in manifest["layers"]] == [item.path.read_bytes() for item in layers]
    assert entry["annotations"] == {
        "io.containerd.image.name": "pie.test/pie:1.0",
        "org.opencontainers.image.ref.name": "1.0",
    }


def test_docker_finds_its_own_manifest(tmp_path: Path, layers: list[Layer]) -> None:
    image(tmp_path / "image.tar", layers)
    files = read(tmp_path / "image.tar")
    (docker,) = json.loads(files["manifest.json"])
    assert docker["RepoTags"] == ["pie.test/pie:1.0"]
    assert {docker["Config"], *docker["Layers"]} <= files.keys()


def test_equal_content_gives_an_equal_tar_whenever_and_by_whomever_it_is_made(tmp_path: Path) -> None:
    made = []
    for attempt in ("first", "second"):
        directory = tmp_path / attempt
        image(directory / "image.tar", [layer(directory, "base", "below")])
        made.append((directory / "image.tar").read_bytes())
    assert made[0] == made[1]


def test_a_layer_left_out_belongs_to_the_image_all_the_same(tmp_path: Path, layers: list[Layer]) -> None:
    whole = image(tmp_path / "whole.tar", layers)
    small = image(tmp_path / "small.tar", layers, left_out=[layers[0]])
    assert small == whole
    missing = read(tmp_path / "whole.tar").keys() - read(tmp_path / "small.tar").keys()
    assert missing == {f"blobs/sha256/{layers[0].sha256}"}
