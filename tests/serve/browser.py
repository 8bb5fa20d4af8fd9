"""Chromium for tests, driven by its DevTools protocol over aiohttp.

https://chromedevtools.github.io/devtools-protocol/
"""

import asyncio
import base64
import itertools
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.harness import until

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",  # containers have little of it
    "--remote-debugging-port=0",
)
_KEYS = {
    "Enter": (13, "\r"),
    "Tab": (9, ""),
    "PageUp": (33, ""),
    "End": (35, ""),
    "Home": (36, ""),
    "ArrowDown": (40, ""),
}
_HURRY = """
for (const clock of ['setTimeout', 'setInterval']) {
  const real = window[clock];
  window[clock] = (act, ms) => real(act, ms / 20);
}
const patience = AbortSignal.timeout;
AbortSignal.timeout = (ms) => patience.call(AbortSignal, ms / 5); // busy machines answer late
"""


def chromium() -> str:
    """Return where Chromium is; without one skip the test and say what to install; in CI, fail."""
    found = shutil.which("chromium")
    if found is None:
        reason = "this machine lacks chromium: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return found


class Tab:
    """One page. `complaints` are its console errors, exceptions and violations of its security policy.

    `interruptions` counts requests that Chromium broke off because a network interface of the machine came or
    went, as a testbed's do; the page has to bear them.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.complaints: list[str] = []
        self.interruptions = 0

    async def listen(self) -> None:
        """Take in what the browser says, until it is closed."""
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told)
            else:
                self._note(told["method"], told["params"])

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"])[:500])
        elif method == "Runtime.consoleAPICalled" and params["type"] in {"error", "assert"}:
            self.complaints.append(json.dumps(params["args"])[:500])
        elif method == "Log.entryAdded" and "ERR_NETWORK_CHANGED" in params["entry"]["text"]:
            self.interruptions += 1
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(params["entry"]["text"])

    async def command(self, method: str, **params: Any) -> dict[str, Any]:
        """Give a command of the protocol; return its result."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        async with asyncio.timeout(60):
            told = await answer
        assert "error" not in told, f"{method}: {told['error']}"
        result: dict[str, Any] = told["result"]
        return result

    async def start(self) -> None:
        """Have the browser tell what goes wrong on the page."""
        for domain in ("Page", "Runtime", "Log"):
            await self.command(f"{domain}.enable")

    async def hurry(self) -> None:
        """Have pages that are opened from now on wait twenty times shorter, but for answers five times."""
        await self.command("Page.addScriptToEvaluateOnNewDocument", source=_HURRY)

    async def open(self, address: str) -> None:
        """Go to an address, and return when its page is there."""

        async def there() -> bool:
            before = self.interruptions
            if "errorText" in await self.command("Page.navigate", url=address):
                return False
            await self.until("document.readyState === 'complete'")
            return self.interruptions == before

        await until(there, f"{address} is served")

    async def see(self, script: str) -> Any:
        """Return the value of a JavaScript expression on the page."""
        told = await self.command(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def until(self, script: str, timeout_seconds: float = 60.0) -> Any:
        """Return the first true value of a JavaScript expression."""

        async def seen() -> Any:
            return await self.see(script)

        try:
            return await until(seen, script, timeout_seconds, every_seconds=0.1)
        except AssertionError as error:
            text = await self.see("document.body.innerText")
            raise AssertionError(f"{error}; the page says: {text}; complaints: {self.complaints}") from error

    async def text(self, selector: str) -> str:
        """Return the text that is seen of the first element that a selector finds; empty without one."""
        return str(await self.see(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            code, text = _KEYS[key]
            common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
            await self.command("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
            await self.command("Input.dispatchKeyEvent", type="keyUp", **common)

    async def resize(self, width: int, height: int, *, mobile: bool = False) -> None:
        """Give the page another size, as of a phone."""
        await self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=mobile,
        )

    async def colours(self, scheme: str) -> None:
        """Have the user prefer `light` or `dark`."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        await self.command("Emulation.setEmulatedMedia", features=[feature])

    async def picture(self, path: Path) -> None:
        """Take a picture of what is seen, without scroll bars."""
        await self.see("document.documentElement.style.scrollbarWidth = 'none'")
        shot = await self.command("Page.captureScreenshot", format="png")
        await self.see("document.documentElement.style.scrollbarWidth = ''")
        path.write_bytes(base64.b64decode(shot["data"]))  # noqa: ASYNC240  a small file, once


@asynccontextmanager
async def browser(directory: Path) -> AsyncIterator[Tab]:
    """Run a Chromium with a new, empty profile in a directory; yields its one tab."""
    process = await asyncio.create_subprocess_exec(
        *(chromium(), *_FLAGS, f"--user-data-dir={directory}", "about:blank"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    told = directory / "DevToolsActivePort"

    async def port() -> str:
        return told.read_text().splitlines()[0] if told.is_file() and told.read_text().strip() else ""

    try:
        address = f"http://127.0.0.1:{await until(port, 'Chromium listens')}"
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{address}/json/list") as answer:
                pages = [each for each in await answer.json() if each["type"] == "page"]
            async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                tab = Tab(socket)
                listening = asyncio.create_task(tab.listen())
                await tab.start()
                try:
                    yield tab
                finally:
                    listening.cancel()
    finally:
        process.terminate()
        await process.wait()
