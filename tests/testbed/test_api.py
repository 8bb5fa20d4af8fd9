"""The testbed's client: what it makes of a watch's bytes."""

import asyncio
from collections.abc import AsyncIterator

from hypothesis import given
from hypothesis import strategies as st

from testbed.api import lines

LINE = st.binary(max_size=20).filter(lambda line: b"\n" not in line)


@given(whole=st.lists(LINE), rest=LINE, cuts=st.lists(st.integers(0, 200)))
def test_lines_are_whole_wherever_the_stream_is_cut(whole: list[bytes], rest: bytes, cuts: list[int]) -> None:
    stream = b"".join(line + b"\n" for line in whole) + rest
    ends = [*sorted(cuts), len(stream)]

    async def chunks() -> AsyncIterator[bytes]:
        start = 0
        for end in ends:
            yield stream[start:end]
            start = max(start, end)

    async def read() -> list[bytes]:
        return [line async for line in lines(chunks())]

    assert asyncio.run(read()) == whole
