"""The demo's panel of faults, as a client sees it: docs/embedded.md."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
import msgspec

from pie.cli.ask import NoAnswer, Server
from pie.core.apitypes import Overview
from pie.core.decode import decode
from pie.core.text import PlainText
from pie.embedded.panel import HEADER

_TIMEOUT_SECONDS: Final = 30.0


class NoPanel(Exception):  # noqa: N818  the name says what happened
    """There is no panel, or it refuses the request; the text says why."""


class Known(msgspec.Struct, frozen=True):
    """A fault that can be injected. `per_node`: on a node, not on the cluster."""

    name: PlainText
    meaning: PlainText
    per_node: bool


class Active(msgspec.Struct, frozen=True):
    """An active fault. `node` is empty if it is a fault of the cluster."""

    fault: PlainText
    node: PlainText


class State(msgspec.Struct, frozen=True):
    """The faults that can be injected, and those that are active."""

    faults: tuple[Known, ...]
    nodes: tuple[PlainText, ...]
    active: tuple[Active, ...]


class _Refusal(msgspec.Struct, frozen=True):
    error: PlainText


class Panel:
    """The panel at an address."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        """Send no request yet."""
        self._session = session
        self._url = url.rstrip("/")

    async def state(self) -> State:
        """Return the faults. Raises NoPanel."""
        return await self._call("GET", "", "")

    async def make(self, fault: str, node: str) -> State:
        """Inject a fault, on all nodes if no node is given. Raises NoPanel."""
        return await self._call("POST", f"/{fault}", node)

    async def mend(self, fault: str, node: str) -> State:
        """End a fault, on all nodes that have it if no node is given. Raises NoPanel."""
        return await self._call("DELETE", f"/{fault}", node)

    async def _call(self, method: str, path: str, node: str) -> State:
        query, headers = {"node": node} if node else {}, {HEADER: "1"}
        url = f"{self._url}/faults{path}"
        try:
            async with self._session.request(method, url, params=query, headers=headers) as answer:
                ok, body = answer.ok, await answer.read()
            if ok:
                return decode(body, State)
            why = decode(body, _Refusal).error
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise NoPanel(f"{url} does not answer as a demo does: {error or type(error).__name__}") from error
        raise NoPanel(why)


At = Callable[[str], Panel]
OfPage = Callable[[str], Awaitable[Panel]]


@asynccontextmanager
async def panels() -> AsyncIterator[tuple[At, OfPage]]:
    """Yield two functions: one returns the panel at an address, one the panel that a demo's page links to."""
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:

        async def of_page(url: str) -> Panel:
            try:
                overview = await Server(session, url).ask("overview", Overview)
            except NoAnswer as error:
                raise NoPanel(str(error)) from error
            if overview.panel_url is None:
                raise NoPanel(f"{url} is the page of a real cluster's controller, not of a demo")
            return Panel(session, overview.panel_url)

        yield lambda url: Panel(session, url), of_page
