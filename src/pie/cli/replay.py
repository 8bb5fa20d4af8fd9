"""`pie replay`: run what a controller recorded through this version of pie."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pie.cli.output import USAGE, complain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pie.core.model import Target
    from pie.core.record.replay import Replayed

_MOST_SHOWN = 10
_MOST_CHARACTERS = 160


def replay(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A file that `pie controller --record DIR` wrote.")
    ],
    target: Annotated[
        str,
        typer.Option(
            help="Print the story of this target: kind/PieProbe/class, and for a mount target /node."
            " Of several namespaces: kind/namespace/PieProbe/…"
        ),
    ] = "",
) -> None:
    """Run the recorded steps of a controller through this version of pie, and report what is different.

    \b
    Examples:
      pie replay pie-20300102T030405Z-000001.record
      pie replay pie-20300102T030405Z-000001.record --target mount/local/fast/node-17

    Exit status: 0 no difference, 1 a step is different, 2 the file cannot be read.
    """  # noqa: D301  \b is Click's
    from pie.core.decode import Unreadable  # noqa: PLC0415  `pie --help` is quick
    from pie.core.model import Target  # noqa: PLC0415
    from pie.core.record.file import read_head  # noqa: PLC0415
    from pie.core.record.replay import replay as run_again  # noqa: PLC0415
    from pie.core.record.replay import steps  # noqa: PLC0415
    from pie.core.record.story import story  # noqa: PLC0415

    different: list[Replayed] = []
    count, targets, last, unreadable = 0, set[Target](), 0.0, ""
    try:
        body = file.read_bytes()
        head, _ = read_head(body)
        for taken in steps(body):
            found = run_again(taken, anonymous=head.anonymous)
            count, last = count + 1, taken.at
            targets.add(found.target)
            if target in {str(found.target), found.target.full_name}:
                for line in story(taken):
                    _print(f"{_clock(taken.at)} {line}")
            if found.differences:
                different.append(found)
    except (OSError, Unreadable) as error:
        unreadable = error.strerror or str(error) if isinstance(error, OSError) else str(error)
    if count:
        hashed = ", names hashed" if head.anonymous else ""
        _print(
            f"recorded by pie {head.version} from {_clock(head.began)} to {_clock(last)}{hashed}:"
            f" {count} steps of {len(targets)} targets"
        )
        _print(_summary(different))
    if unreadable:
        complain("pie replay", f"cannot read {file}: {unreadable}")
        raise typer.Exit(USAGE)
    names = _names(targets)
    if target and target not in {*names, *map(str, targets)}:
        named = ", ".join(names[:_MOST_SHOWN]) or "none"
        complain("pie replay", f"{file} has no target {target}; it has: {named}")
        raise typer.Exit(USAGE)
    raise typer.Exit(1 if different else 0)


def _names(targets: "Iterable[Target]") -> list[str]:
    """Return how targets are named: with their namespaces, if there are several."""
    several = len({each.namespace for each in targets}) > 1
    return sorted(each.full_name if several else str(each) for each in targets)


def _summary(different: "list[Replayed]") -> str:
    import pie  # noqa: PLC0415
    from pie.cli.words import many  # noqa: PLC0415

    if not different:
        return f"pie {pie.__version__} does the same in every step"
    first = different[0]
    count = f"pie {pie.__version__} does something else in {many(len(different), 'step')}."
    lines = [f"{count} The first is at {_clock(first.taken.at)}, target {first.target}:"]
    for each in first.differences[:_MOST_SHOWN]:
        lines += [f"  {each.where}", f"    recorded: {_short(each.recorded)}", f"    now: {_short(each.now)}"]
    if more := len(first.differences) - _MOST_SHOWN:
        lines += [f"  and {more} more"] if more > 0 else []
    others = different[1:_MOST_SHOWN]
    lines += [f"  also at {_clock(each.taken.at)}, target {each.target}" for each in others]
    return "\n".join(lines)


def _short(value: object) -> str:
    from pie.core.text import one_line  # noqa: PLC0415

    return one_line(repr(value), _MOST_CHARACTERS)


def _clock(at: float) -> str:
    from pie.core.wire import rfc3339  # noqa: PLC0415

    return rfc3339(at)


def _print(text: str) -> None:
    """Print lines; their texts come from outside, since anybody can write a file."""
    from pie.core.text import MOST_CHARACTERS, one_line  # noqa: PLC0415

    for line in text.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        sys.stdout.write(f"{indent}{one_line(line, MOST_CHARACTERS)}\n")
