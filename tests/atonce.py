"""Stories that mostly wait go on at the same time; the test of each waits for its end."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any

Stories = Mapping[str, asyncio.Task[None]]


@asynccontextmanager
async def at_once(stories: Mapping[str, Coroutine[Any, Any, None]]) -> AsyncIterator[Stories]:
    """Begin all stories; at the end, cancel those for whose end no test has waited."""
    tasks = {name: asyncio.create_task(story) for name, story in stories.items()}
    try:
        yield tasks
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
