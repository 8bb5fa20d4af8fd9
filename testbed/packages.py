"""What the testbed needs on the machine: for its own check, and for the set-up of a machine."""

import os
import shutil
from dataclasses import dataclass

from testbed.errors import TestbedError
from testbed.spec import Spec


@dataclass(frozen=True, slots=True)
class Requirement:
    """A program, and its Debian package (empty: see `hint`)."""

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
# Only some tests need these.
TESTS = (
    Requirement("buildah", "buildah"),
    Requirement("chromium", "chromium"),
    Requirement("faketime", "faketime"),
    Requirement("lua5.1", "lua5.1"),
    Requirement("promtool", "prometheus"),
    Requirement("ps", "procps"),
)


class MissingError(TestbedError):
    """Something is missing on the machine; the text says how to install it."""


def debian_packages() -> list[str]:
    """Return every Debian package that the testbed and the tests need."""
    every = (*CONTROL_PLANE, *NODES, *TESTS)
    return sorted({requirement.package for requirement in every if requirement.package})


def missing(*, nodes: bool) -> list[str]:
    """Return what this machine lacks for a testbed with or without real nodes, one line each."""
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
    """Raise MissingError with all that is missing, if the machine cannot run such a testbed."""
    if lines := missing(nodes=spec.nodes > 0):
        raise MissingError("this machine lacks what the testbed needs:\n  " + "\n  ".join(lines))


# The PATH of a normal user has no sbin directories; nor may the PATH of root in a cron job.
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))
