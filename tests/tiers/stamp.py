"""The testbed's own tests run when the testbed changed: a stamp in its cache names what passed.

The stamp is a file whose name is a hash of all that these tests depend on. Without it they are due.
"""

import hashlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

PREFIX = "tests-passed-"
# What the testbed is made of: its sources and pins, the image on its nodes, and its tests.
SOURCES = (
    "testbed",
    "tests/testbed",
    "tests/conftest.py",
    "image",
    "requirements",
    "pyproject.toml",
)
# Generated from what is pinned, or by Python.
GENERATED = ("testbed/csi/generated/", "__pycache__/")
FORCED = "PIE_TESTBED_TESTS"
"""Environment variable: `always` runs the testbed's own tests also when nothing changed."""


def fingerprint(files: Mapping[str, bytes], versions: Mapping[str, str]) -> str:
    """Return a hash of files, with their names, and of the versions of what is not in the checkout."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    for name, version in sorted(versions.items()):
        digest.update(f"{name}\0{version}\0".encode())
    return digest.hexdigest()[:16]


def due(stamps: AbstractSet[str], wanted: str, forced: str = "") -> bool:
    """Tell whether the testbed's own tests must run."""
    if forced not in {"", "always"}:
        raise ValueError(f"{FORCED} is always, or not set; not {forced!r}")
    return forced == "always" or wanted not in stamps


def earned(before: str, after: str, every: AbstractSet[str], passed: AbstractSet[str]) -> bool:
    """Tell whether a run proved the testbed: nothing changed meanwhile, and every test passed in this run."""
    return before == after and bool(every) and every <= passed


def read_sources(root: Path) -> dict[str, bytes]:
    """Return the files that the testbed's own tests depend on, by their path in the checkout."""
    found = {}
    for source in SOURCES:
        path = root / source
        for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
            name = each.relative_to(root).as_posix()
            if each.is_file() and not any(part in name for part in GENERATED):
                found[name] = each.read_bytes()
    return found
