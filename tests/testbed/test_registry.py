"""The testbed's registry gives an image only to those who know the password."""

import json
import tarfile
from pathlib import Path

import aiohttp

from image.archive import Layer, add_tree, write
from testbed.registry import Registry


def image(directory: Path) -> tuple[Path, Layer]:
    """Write an image whose only layer is not in the tar."""
    (directory / "stage").mkdir()
    (directory / "stage" / "file").write_text("content")
    with tarfile.open(directory / "layer.tar", "w") as tar:
        add_tree(tar, directory / "stage")
    layer = Layer.of(directory / "layer.tar")
    write(
        directory / "image.tar",
        name="pie:1",
        architecture="amd64",
        run={},
        layers=[layer],
        left_out=[layer],
    )
    return directory / "image.tar", layer


async def test_all_of_an_image_is_read_with_the_secret_and_nothing_without(tmp_path: Path) -> None:
    tar, layer = image(tmp_path)
    async with Registry("pie", "1", tar, blobs={layer.sha256: layer.path}) as registry:
        address, _, _ = registry.image.partition("/")
        secret = json.loads(registry.pull_secret("s")["stringData"][".dockerconfigjson"])
        credentials = {"Authorization": f"Basic {secret['auths'][address]['auth']}"}
        async with aiohttp.ClientSession(f"http://{address}") as session:
            for path in ("/v2/", "/v2/pie/manifests/1", f"/v2/pie/blobs/sha256:{layer.sha256}"):
                async with session.get(path) as refused:
                    assert refused.status == 401
                    assert refused.headers["WWW-Authenticate"].startswith("Basic ")
            async with session.get("/v2/pie/manifests/1", headers=credentials) as answer:
                manifest = await answer.json(content_type=None)
                assert answer.content_type == manifest["mediaType"]
            for part in (manifest["config"], *manifest["layers"]):
                async with session.get(f"/v2/pie/blobs/{part['digest']}", headers=credentials) as answer:
                    assert len(await answer.read()) == part["size"]
            for path in ("/v2/pie/manifests/2", "/v2/pie/blobs/sha256:00"):
                async with session.get(path, headers=credentials) as missing:
                    assert missing.status == 404
