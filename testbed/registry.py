"""A container registry on loopback that gives its images only to those who know the password.

It serves what the OCI distribution API needs to pull, from image tars as `image` writes them.
"""

import base64
import hashlib
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

_CHALLENGE = {"WWW-Authenticate": 'Basic realm="testbed"'}
_PREFIX = "blobs/sha256/"


class Registry:
    """One repository with one tag, as `async with`; `image` is its name for kubelet."""

    def __init__(self, repository: str, tag: str, tar: Path, *, blobs: Mapping[str, Path]) -> None:
        """Serve the image in `tar`. `blobs` are those that the tar lacks: files by their sha256."""
        self._repository, self._tag = repository, tag
        self._tar = tar
        self._blobs = dict(blobs)
        self._credentials = base64.b64encode(b"puller:secret").decode()
        self._runner: web.AppRunner | None = None
        self._address = ""
        self.pulls: list[tuple[str, int]] = []
        """Each request for a manifest or blob: its path, and the status of the answer."""

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/v2/", self._version)
        app.router.add_get(f"/v2/{self._repository}/manifests/{{reference}}", self._manifest)
        app.router.add_get(f"/v2/{self._repository}/blobs/{{digest}}", self._blob)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self._address = f"{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the port."""
        assert self._runner is not None  # noqa: S101  entered
        await self._runner.cleanup()

    @property
    def image(self) -> str:
        """The name to pull the image by."""
        return f"{self._address}/{self._repository}:{self._tag}"

    def pull_secret(self, name: str) -> dict[str, Any]:
        """Return the Secret with which kubelet may pull."""
        configuration = {"auths": {self._address: {"auth": self._credentials}}}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": json.dumps(configuration)},
        }

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Basic {self._credentials}":
            self.pulls.append((request.path, 401))
            raise web.HTTPUnauthorized(headers=_CHALLENGE)
        response: web.StreamResponse = await handler(request)
        self.pulls.append((request.path, response.status))
        return response

    async def _version(self, _request: web.Request) -> web.Response:
        return web.json_response({})

    async def _manifest(self, request: web.Request) -> web.Response:
        reference = request.match_info["reference"]
        (described,) = json.loads(self._member("index.json"))["manifests"]
        if reference not in {self._tag, described["digest"]}:
            raise web.HTTPNotFound
        body = self._member(_path(described["digest"]))
        headers = {"Docker-Content-Digest": f"sha256:{hashlib.sha256(body).hexdigest()}"}
        return web.Response(body=body, content_type=described["mediaType"], headers=headers)

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        digest = request.match_info["digest"]
        if file := self._blobs.get(digest.removeprefix("sha256:")):
            return web.FileResponse(file)
        try:
            return web.Response(body=self._member(_path(digest)), content_type="application/octet-stream")
        except KeyError:
            raise web.HTTPNotFound from None

    def _member(self, name: str) -> bytes:
        with tarfile.open(self._tar) as tar:
            member = tar.extractfile(name)
            assert member is not None, name  # noqa: S101  we wrote the tar
            return member.read()


def _path(digest: str) -> str:
    return _PREFIX + digest.removeprefix("sha256:")
