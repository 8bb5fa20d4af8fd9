"""Work, counted in lines of pie that run: a measure that no busy machine disturbs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pie

_SOURCES = str(Path(pie.__file__).parent)


@contextmanager
def lines_of_pie() -> Iterator[list[int]]:
    """Count the lines of pie that run, each turn of a loop as one: work, whatever the clock says."""
    count = [0]

    def line(_frame: FrameType, event: str, _arg: Any) -> Any:
        count[0] += event == "line"
        return line

    def call(frame: FrameType, _event: str, _arg: Any) -> Any:
        return line if frame.f_code.co_filename.startswith(_SOURCES) else None

    before = sys.gettrace()
    sys.settrace(call)
    try:
        yield count
    finally:
        sys.settrace(before)
