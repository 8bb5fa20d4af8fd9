"""Python stubs for CSI and kubelet's plugin registration, generated from .proto files in pinned Go modules.

Nothing is copied into this repository: the modules are pinned in `testbed/go/csi-spec`. The stubs are in the
cache directory, under a name with the hash of that pin and of the generator's version; they are generated if
missing.
"""

import contextlib
import fcntl
import hashlib
import importlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass  # type: ignore[import-untyped]

from testbed.build import MODULES, cache_directory
from testbed.errors import TestbedError

SPEC_MODULE = MODULES / "csi-spec"


class StubsError(TestbedError):
    """The stubs could not be generated; the text has the output of the tool."""


@dataclass(frozen=True, slots=True)
class Stubs:
    """The generated modules, with the messages and the descriptors of the services."""

    csi: ModuleType
    registration: ModuleType


def load() -> Stubs:
    """Import the stubs; generate them if the cache has none for the pinned versions."""
    directory = _cache_directory()
    with _locked(directory.with_suffix(".lock")):
        if not directory.exists():
            _generate(directory)
    if str(directory) not in sys.path:  # the generated modules import each other by their bare names
        sys.path.append(str(directory))
    return Stubs(*(importlib.import_module(name) for name in ("csi_pb2", "registration_pb2")))


def handler(service: Any, servicer: object) -> Any:
    """Return the gRPC handler of a service (its descriptor); missing methods are unimplemented."""
    methods = {
        method.name: grpc.unary_unary_rpc_method_handler(
            getattr(servicer, method.name),
            request_deserializer=GetMessageClass(method.input_type).FromString,
            response_serializer=GetMessageClass(method.output_type).SerializeToString,
        )
        for method in service.methods
        if hasattr(servicer, method.name)
    }
    return grpc.method_handlers_generic_handler(service.full_name, methods)


def without_gogoproto(proto: str) -> str:
    """Remove what only the gogoproto generator knows; the messages on the wire are the same."""
    lines = [line for line in proto.splitlines() if not re.match(r"\s*(import|option)\b.*gogo", line)]
    return "\n".join(re.sub(r"\s*\[\s*\(gogoproto\.[^\]]*\]", "", line) for line in lines) + "\n"


def _cache_directory() -> Path:
    pin = hashlib.sha256((SPEC_MODULE / "go.sum").read_bytes())
    pin.update(Path(__file__).read_bytes())
    pin.update(metadata.version("grpcio-tools").encode())
    return cache_directory() / f"csi-stubs-{pin.hexdigest()[:16]}"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _generate(directory: Path) -> None:
    csi = _go_module_directory("github.com/container-storage-interface/spec") / "csi.proto"
    registration = _go_module_directory("k8s.io/kubelet") / "pkg/apis/pluginregistration/v1/api.proto"
    well_known = str(resources.files("grpc_tools") / "_proto")
    with tempfile.TemporaryDirectory(dir=directory.parent) as scratch:
        for name, proto in (("csi", csi), ("registration", registration)):
            Path(scratch, f"{name}.proto").write_text(without_gogoproto(proto.read_text()))
        made = Path(scratch, "made")
        made.mkdir()
        protoc = (sys.executable, "-m", "grpc_tools.protoc", f"-I{scratch}", f"-I{well_known}")
        _run((*protoc, f"--python_out={made}", "csi.proto", "registration.proto"), directory=Path(scratch))
        made.rename(directory)


def _go_module_directory(module: str) -> Path:
    _run(("go", "mod", "download", module), directory=SPEC_MODULE)
    return Path(
        _run(("go", "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", module), directory=SPEC_MODULE).strip()
    )


def _run(argv: tuple[str, ...], *, directory: Path) -> str:
    try:
        done = subprocess.run(argv, cwd=directory, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise StubsError(f"{argv[0]} is not installed; the CSI stubs are generated with it") from error
    except subprocess.CalledProcessError as error:
        raise StubsError(f"{' '.join(argv)} failed: {error.stderr.strip()}") from error
    return done.stdout
