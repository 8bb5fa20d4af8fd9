"""Writes container images as one tar file that containerd, Docker, Podman and skopeo all read.

The tar holds an OCI image layout, and a `manifest.json` beside it for tools that know only Docker's format.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True, slots=True)
class Layer:
    """An uncompressed tar of files and the sha256 of that tar, as hex digits."""

    path: Path
    sha256: str

    @classmethod
    def of(cls, path: Path) -> "Layer":
        """Read the tar at `path` once, to hash it."""
        with path.open("rb") as tar:
            return cls(path, hashlib.file_digest(tar, "sha256").hexdigest())


def add_tree(tar: tarfile.TarFile, root: Path) -> None:
    """Add everything below `root`, owned by root and without times: equal content gives an equal tar."""
    for path in sorted(root.rglob("*")):
        entry = tar.gettarinfo(path, arcname=str(path.relative_to(root)))
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = "root"
        entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
        if entry.isreg():
            with path.open("rb") as content:
                tar.addfile(entry, content)
        else:
            tar.addfile(entry)


def write(
    output: Path,
    *,
    name: str,
    architecture: str,
    run: Mapping[str, Any],
    layers: Sequence[Layer],
    left_out: Collection[Layer] = (),
) -> str:
    """Write the image `name` (with its tag) to `output` and return its ID, the sha256 of its configuration.

    `run` is what the OCI image specification calls `config`: User, Entrypoint, Env, … `architecture` is Go's
    name for it (`amd64`). Layers in `left_out` belong to the image but are not in the tar: its
    reader has them already. The ID depends on the content only: no times, no name.
    """
    config = _json(
        {
            "architecture": architecture,
            "os": "linux",
            "config": dict(run),
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.sha256}" for layer in layers]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST_TYPE,
            "config": _descriptor(_CONFIG_TYPE, config),
            "layers": [
                {
                    "mediaType": _LAYER_TYPE,
                    "digest": f"sha256:{layer.sha256}",
                    "size": layer.path.stat().st_size,
                }
                for layer in layers
            ],
        }
    )
    names = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rpartition(":")[2]}
    index = {
        "schemaVersion": 2,
        "manifests": [_descriptor(_MANIFEST_TYPE, manifest) | {"annotations": names}],
    }
    docker = {
        "Config": _blob_path(_sha256(config)),
        "RepoTags": [name],
        "Layers": [_blob_path(layer.sha256) for layer in layers],
    }
    unfinished = output.with_suffix(".part")
    with tarfile.open(unfinished, "w") as tar:
        _add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(tar, "index.json", _json(index))
        _add(tar, "manifest.json", _json([docker]))
        _add(tar, _blob_path(_sha256(config)), config)
        _add(tar, _blob_path(_sha256(manifest)), manifest)
        for layer in (layer for layer in layers if layer not in left_out):
            entry = tarfile.TarInfo(_blob_path(layer.sha256))
            entry.size = layer.path.stat().st_size
            with layer.path.open("rb") as content:
                tar.addfile(entry, content)
    unfinished.replace(output)
    return _sha256(config)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{_sha256(content)}", "size": len(content)}


def _blob_path(sha256: str) -> str:
    return f"blobs/sha256/{sha256}"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
