"""Opens many connections from another process, and sends nothing, or half a request, on each."""

import asyncio
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_PROGRAM = """
import resource, socket, sys
port, number = map(int, sys.argv[1:])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
kept = []
for each in range(number):
    kept.append(socket.create_connection(("127.0.0.1", port)))
    if each % 2:
        kept[-1].sendall(b"GET /metrics HTTP/1.1\\r\\nHost: localhost\\r\\n")
print("open", flush=True)
sys.stdin.read()
"""


def possible(number: int) -> int:
    """Return how many connections of so many a process may open here."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return number if hard == resource.RLIM_INFINITY else min(number, hard - 64)


@asynccontextmanager
async def half_open(port: int, number: int) -> AsyncIterator[None]:
    """Hold so many connections to a port of this machine open."""
    pipe = asyncio.subprocess.PIPE
    arguments = ("-c", _PROGRAM, str(port), str(number))
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"open\n"
        yield
    finally:
        process.stdin.close()
        await process.wait()
