"""Commands to a process of the testbed, on a unix socket: a line of JSON, and another one for the answer."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError

Handler = Callable[..., Awaitable[Any]]
LINE_LIMIT_BYTES = 16 * 1024 * 1024


@asynccontextmanager
async def serve(path: Path, handlers: Mapping[str, Handler]) -> AsyncIterator[None]:
    """Answer commands on `path` in this context; a handler gets the arguments of its command by name.

    If a handler raises TestbedError or OSError, the caller gets the text of the error. Any other exception is
    a defect: the caller gets its type and text. The connection stays open.

    The socket gets its name only when it listens: where there is a socket, there is an answer.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async for line in reader:
                writer.write(json.dumps(await _run(handlers, line)).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            return  # the caller closed the connection
        finally:
            writer.close()

    unnamed = path.with_name(f"{path.name}.new")
    server = await asyncio.start_unix_server(answer, unnamed, limit=LINE_LIMIT_BYTES)
    unnamed.rename(path)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)  # noqa: ASYNC240  one unlink on a local disk


async def call(path: Path, command: str, **arguments: Any) -> Any:
    """Send one command and return its result.

    Raises TestbedError with the text of the answer, or if there is no answer on `path`.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=LINE_LIMIT_BYTES)
    except OSError as error:
        raise TestbedError(f"nothing answers on {path}: {error.strerror}") from error
    try:
        writer.write(json.dumps({"command": command, "arguments": arguments}).encode() + b"\n")
        await writer.drain()
        line = await reader.readline()
    finally:
        writer.close()
    if not line:
        raise TestbedError(f"the testbed ended before it answered `{command}` ({path})")
    answer = json.loads(line)
    if "error" in answer:
        raise TestbedError(answer["error"])
    return answer["result"]


async def _run(handlers: Mapping[str, Handler], line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
        command = request["command"]
        if command not in handlers:
            return {"error": f"no command {command!r} (there are: {', '.join(handlers)})"}
        return {"result": await handlers[command](**request.get("arguments", {}))}
    except Exception as error:  # noqa: BLE001  a defect in one command must not end the testbed; it is reported
        return {"error": "\n".join(_texts(error))}


def _texts(error: BaseException) -> list[str]:
    """Return the texts of all errors of a group."""
    if isinstance(error, BaseExceptionGroup):
        return [text for each in error.exceptions for text in _texts(each)]
    if isinstance(error, (TestbedError, OSError)):
        return [str(error)]
    return [f"{type(error).__name__}: {error}"]
