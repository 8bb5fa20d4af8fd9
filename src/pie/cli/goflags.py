"""The flags of Go pie's controller, and what becomes of each in `pie controller`.

A manifest of Go pie works unchanged, or is refused in words. Its flags that are not in the table below
(`--container-image`, `--namespace`, the addresses) are flags of `pie controller`, with the same meaning.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import typer
from typer.core import TyperCommand

from pie.cli.output import USAGE, complain


class Fate(StrEnum):
    """What becomes of a flag of Go pie."""

    READ = "read"
    IGNORED = "ignored"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class GoFlag:
    """A flag of Go pie. `switch`: it stands alone, or has its value after `=`; `instead`: what to write."""

    fate: Fate
    switch: bool = False
    instead: str = ""


_SWITCH: Final = GoFlag(Fate.IGNORED, switch=True)
_VALUE: Final = GoFlag(Fate.IGNORED)

FLAGS: Final[Mapping[str, GoFlag]] = {
    "leader-elect": GoFlag(Fate.READ, switch=True),
    "zap-log-level": GoFlag(Fate.READ),
    # Results are in the termination messages of the probe pods, and nothing here is profiled by pprof.
    "controller-url": _VALUE,
    "enable-pprof": _SWITCH,
    # How zap and klog write; pie writes JSON lines, or text on a terminal, on standard error.
    "zap-devel": _SWITCH,
    "zap-encoder": _VALUE,
    "zap-stacktrace-level": _VALUE,
    "zap-time-encoding": _VALUE,
    "add_dir_header": _SWITCH,
    "alsologtostderr": _SWITCH,
    "alsologtostderrthreshold": _VALUE,
    "legacy_stderr_threshold_behavior": _SWITCH,
    "log_backtrace_at": _VALUE,
    "log_dir": _VALUE,
    "log_file": _VALUE,
    "log_file_max_size": _VALUE,
    "logtostderr": _SWITCH,
    "one_output": _SWITCH,
    "skip_headers": _SWITCH,
    "skip_log_headers": _SWITCH,
    "stderrthreshold": _VALUE,
    "v": _VALUE,
    "vmodule": _VALUE,
    # Of versions that had no PieProbes.
    "monitoring-storage-class": GoFlag(
        Fate.REFUSED, instead="spec.monitoringStorageClass of a PieProbe for each StorageClass"
    ),
    "node-selector": GoFlag(Fate.REFUSED, instead="spec.nodeSelector of the PieProbes"),
    "probe-period": GoFlag(Fate.REFUSED, instead="spec.probePeriod of the PieProbes"),
    "create-probe-threshold": GoFlag(Fate.REFUSED, instead="spec.probeThreshold of the PieProbes"),
}

# As Go reads them (strconv.ParseBool).
_BOOLEANS: Final = dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True) | dict.fromkeys(
    ("0", "f", "F", "false", "FALSE", "False"), False
)
_LEVELS: Final = {"debug": "debug", "info": "info", "error": "error", "panic": "error"}


@dataclass(frozen=True, slots=True)
class Read:
    """Arguments of `pie controller`, and the flags among them that had no meaning, each once."""

    arguments: tuple[str, ...]
    ignored: tuple[str, ...]


def read(arguments: Sequence[str]) -> Read:
    """Translate the flags of Go pie among the arguments; raises ValueError for one that is refused."""
    level: list[str] = []
    kept: list[str] = []
    ignored: dict[str, None] = {}
    left = list(arguments)
    while left:
        argument = left.pop(0)
        if argument == "--":
            kept += [argument, *left]
            break
        name, value = _name_and_value(argument)
        flag = FLAGS.get(name)
        if flag is None:
            kept.append(argument)
            continue
        if flag.fate is Fate.REFUSED:
            raise ValueError(
                f"--{name} is a flag of versions of the Go implementation without PieProbes;"
                f" set {flag.instead} instead"
            )
        if value is None:
            value = _next_word(name, flag, left)
        if flag.fate is Fate.IGNORED:
            ignored[f"--{name}"] = None
        elif flag.switch:
            kept.append(f"--{name}" if _boolean(name, value) else f"--no-{name}")
        else:
            level = ["--log-level", _level(name, value)]
    # --log-level of pie comes later, so it wins.
    return Read((*level, *kept), tuple(ignored))


def _name_and_value(argument: str) -> tuple[str, str | None]:
    """Split --NAME=VALUE; -v4 and -v=4 are --v=4. The name is empty if it is no flag of Go pie's form."""
    if short := re.fullmatch(r"-v(?:=?(.+))?", argument):
        return "v", short[1]
    if not argument.startswith("--"):
        return "", None
    name, equals, value = argument[2:].partition("=")
    return name, value if equals else None


def _next_word(name: str, flag: GoFlag, left: list[str]) -> str:
    """Return the value of a flag that has none after `=`, and remove it from what is left."""
    if not flag.switch:
        if not left:
            raise ValueError(f"--{name} needs a value")
        return left.pop(0)
    if left and left[0] in _BOOLEANS:
        # Go pie ignores this word; its chart writes one after --enable-pprof.
        word = left.pop(0)
        if flag.fate is Fate.READ and not _BOOLEANS[word]:
            raise ValueError(f"--{name} {word} would mean --{name}; write --{name}={word}")
    return "true"


def _boolean(name: str, value: str) -> bool:
    if value not in _BOOLEANS:
        raise ValueError(f"--{name}: {value[:64]!r} is neither true nor false")
    return _BOOLEANS[value]


def _level(name: str, value: str) -> str:
    level = _LEVELS.get(value.lower())
    if level is None and value.isdecimal() and value.isascii() and int(value[:9]) > 0:
        level = "debug"
    if level is None:
        raise ValueError(f"--{name}: {value[:64]!r} is not debug, info, error, panic or a number above 0")
    return level


class GoFlagsCommand(TyperCommand):
    """A command that takes flags of Go pie, too; the ignored ones are the `obj` of its context."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Translate the flags of Go pie, and parse what remains."""
        try:
            found = read(args)
        except ValueError as error:
            complain(f"pie {ctx.info_name}", str(error))
            raise typer.Exit(USAGE) from None
        ctx.obj = found.ignored
        return super().parse_args(ctx, list(found.arguments))
