"""What the testbed needs of the machine, in one place: for its own check, and for who sets a machine up."""

import os
import shutil
from dataclasses import dataclass

from testbed.errors import TestbedError
from testbed.spec import Spec


@dataclass(frozen=True, slots=True)
class Requirement:
    """A program, and the Debian package that brings it (empty: see `hint`)."""

    program: str
    package: str
    hint: str = ""


CONTROL_PLANE = (
    Requirement("go", "", "Go 1.26, from https://go.dev/dl"),
    Requirement("openssl", "openssl"),
    Requirement("unshare", "util-linux"),
    Requirement("losetup", "mount"),
)
NODES = (
    Requirement("containerd", "containerd"),
    Requirement("ctr", "containerd"),
    Requirement("runc", "runc"),
    Requirement("/usr/lib/cni/ptp", "containernetworking-plugins"),
    Requirement("mmdebstrap", "mmdebstrap"),
    Requirement("fio", "fio"),
    Requirement("mkfs.ext4", "e2fsprogs"),
    Requirement("mkfs.xfs", "xfsprogs"),
    Requirement("xfs_io", "xfsprogs"),
    Requirement("fsfreeze", "util-linux"),
    Requirement("ip", "iproute2"),
)
# What some tests check with, though no testbed needs it.
TESTS = (
    Requirement("buildah", "buildah"),
    Requirement("chromium", "chromium"),
    Requirement("promtool", "prometheus"),
    Requirement("ps", "procps"),
)


class MissingError(TestbedError):
    """The machine lacks something; the text says how to install it."""


def debian_packages() -> list[str]:
    """Return every Debian package that the testbed and the tests need."""
    every = (*CONTROL_PLANE, *NODES, *TESTS)
    return sorted({requirement.package for requirement in every if requirement.package})


def missing(*, nodes: bool) -> list[str]:
    """Say, line by line, what this machine lacks for a testbed with or without real nodes."""
    lines = [] if os.geteuid() == 0 else ["root: the testbed makes namespaces (run it with sudo)"]
    absent = [
        requirement
        for requirement in (CONTROL_PLANE + NODES if nodes else CONTROL_PLANE)
        if shutil.which(requirement.program, path=_PATH) is None
    ]
    lines += [f"{requirement.program}: {requirement.hint}" for requirement in absent if requirement.hint]
    packages = sorted({requirement.package for requirement in absent if requirement.package})
    if packages:
        lines.append(f"{', '.join(packages)}: apt-get install {' '.join(packages)}")
    return lines


def require(spec: Spec) -> None:
    """Raise MissingError, naming everything, when the machine cannot run such a testbed."""
    if lines := missing(nodes=spec.nodes > 0):
        raise MissingError("this machine lacks what the testbed needs:\n  " + "\n  ".join(lines))


# An unprivileged login's PATH has no sbin, root's in a cron job may not either.
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))
