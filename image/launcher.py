#!/usr/bin/env python3
"""kubectl-pie as krew installs it: pie with its dependencies, in directories beside this file."""

import sys
from pathlib import Path

library = Path(__file__).resolve().parent / "lib"
ours = library / f"cp{sys.version_info[0]}{sys.version_info[1]}"
if not ours.is_dir():
    there = ", ".join(sorted(f"3.{path.name[3:]}" for path in library.glob("cp3*")))
    sys.exit(f"kubectl-pie needs Python {there} as python3; this is {sys.version.split()[0]}")
sys.path[:1] = [str(library / "any"), str(ours)]
sys.argv[0] = "kubectl-pie"

from pie.__main__ import main  # noqa: E402  it is found only now

main()
