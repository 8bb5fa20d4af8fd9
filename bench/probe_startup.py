"""What a probe pod spends before it does anything: CPU of the process until its first I/O on the volume.

Starts `pie probe` as the pod does, in a fresh process, with an audit hook that stops it at the first
system call on the volume's path. Prints the median of the runs, and with --modules what was imported.

    python bench/probe_startup.py [--runs 20] [--modules]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile

LIMIT_SECONDS = 0.150

PROBE = """
import os, resource, sys
base = set(sys.modules)
def hook(event, arguments):
    if event in ("os.mkdir", "open") and str(arguments[0]).startswith(sys.argv[-1]):
        used = resource.getrusage(resource.RUSAGE_SELF)
        modules = sorted(set(sys.modules) - base)
        import json
        print(json.dumps([used.ru_utime + used.ru_stime, modules]), flush=True)
        os._exit(0)
sys.addaudithook(hook)
sys.argv[1:] = ["probe", "mount", "--no-mount-check", "--path", sys.argv[-1]]
from pie.__main__ import main
main()
"""


def first_io() -> tuple[float, list[str]]:
    """Start one probe; return the CPU seconds (user + system) until its first I/O, and its imports."""
    with tempfile.TemporaryDirectory() as volume:
        process = subprocess.run(
            [sys.executable, "-c", PROBE, volume], check=True, capture_output=True, text=True
        )
    seconds, modules = json.loads(process.stdout)
    return seconds, modules


def main() -> int:
    """Print the cost; exit status 1 when it is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--modules", action="store_true", help="print what was imported")
    options = parser.parse_args()
    first_io()  # fills the byte-code cache, as the image's build does
    runs = [first_io() for _ in range(options.runs)]
    seconds = [run[0] for run in runs]
    modules = runs[0][1]
    print(
        f"CPU until the first I/O: median {statistics.median(seconds) * 1000:.0f} ms, "
        f"max {max(seconds) * 1000:.0f} ms of {options.runs} runs "
        f"(limit {LIMIT_SECONDS * 1000:.0f} ms); {len(modules)} modules imported"
    )
    if options.modules:
        print("\n".join(modules))
    return int(statistics.median(seconds) > LIMIT_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
