"""`python -m image.wheels` writes requirements/wheels.txt: each locked package's wheel for each architecture.

The lock file has hashes without file names. This list shows that each architecture has a wheel for each
package, which the lock file allows: nothing is compiled when the image is built.
"""

import hashlib
import sys
import tempfile
from pathlib import Path

from image.base import LOCK, ROOT, platform_options, run

WHEELS = ROOT / "requirements" / "wheels.txt"
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def main() -> None:
    """Download all wheels, and write their names and hashes."""
    lines = []
    for architecture, machine in MACHINES.items():
        with tempfile.TemporaryDirectory(prefix="pie-wheels-") as directory:
            run(
                [
                    *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
                    *("--only-binary=:all:", *platform_options(machine)),
                    *("--dest", directory, "--requirement", str(LOCK)),
                ]
            )
            lines += [
                f"{architecture} {wheel.name} {hashlib.sha256(wheel.read_bytes()).hexdigest()}"
                for wheel in sorted(Path(directory).iterdir())
            ]
    WHEELS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
