"""What the lock file of the image says."""

import re

from image.base import LOCK

PACKAGE = re.compile(
    r"^([\w.-]+)==(\S+)(?: ; (.*?))? \\\n((?:    --hash=sha256:\w+(?: \\)?\n?)+)", re.MULTILINE
)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[tuple[str, str], set[str]]:
    """Return the hashes of each package and version that Linux needs."""
    return {
        (normal(name), version): set(re.findall(r"sha256:(\w+)", hashes))
        for name, version, marker, hashes in PACKAGE.findall(LOCK.read_text())
        if "win32" not in marker
    }
