"""The pie controller as its users run it, a process of its own, and what it says on /metrics."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from prometheus_client.samples import Sample

from testbed.api import Api, ApiError
from testbed.control import LINE_LIMIT_BYTES

ROOT = Path(__file__).parent.parent
CRD = ROOT / "charts" / "pie" / "files" / "pieprobe.yaml"
GROUP = "/apis/pie.topolvm.io/v1alpha1"
ON_TIME = {
    "mount": "pie_mount_probe_total",
    "provision": "pie_provision_probe_total",
}
PERFORMANCE = "pie_performance_on_mount_probe_total"
RESTRICTED_POD = {"securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}}
RESTRICTED_CONTAINER = {
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
}
"""What the Pod Security level `restricted` demands."""
LIMIT_SECONDS = 90.0
"""What takes a second or two alone may take so long on a busy machine; what does not come fails so late."""


async def until(
    condition: Callable[[], Awaitable[Any]],
    what: str,
    timeout_seconds: float = LIMIT_SECONDS,
    every_seconds: float = 0.2,
) -> Any:
    """Return the condition's first true value; fail in words when there is none in time."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + timeout_seconds
    last: Any = None
    while loop.time() < give_up_at:
        if last := await condition():
            return last
        await asyncio.sleep(every_seconds)
    raise AssertionError(f"not within {timeout_seconds:g} s: {what}")


async def some_at_a_time(works: Iterable[Awaitable[Any]], most: int = 16) -> None:
    """Do many small things, at most so many at the same time."""
    free = asyncio.Semaphore(most)

    async def one(work: Awaitable[Any]) -> None:
        async with free:
            await work

    await asyncio.gather(*(one(work) for work in works))


_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


class Samples:
    """One reading of /metrics; only the lines of a name that is asked for are parsed."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._lines: dict[str, list[str]] = {}
        for line in text.splitlines():
            if not line.startswith("#"):
                self._lines.setdefault(re.split("[{ ]", line, maxsplit=1)[0], []).append(line)

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of the one sample that has these labels, None if there is none."""
        found = [each.value for each in self.all(name) if labels.items() <= each.labels.items()]
        assert len(found) <= 1, f"{name} {labels} is not one sample"
        return found[0] if found else None

    def all(self, name: str) -> list[Sample]:
        """Return all samples of a name."""
        return [_sample(name, line) for line in self._lines.get(name, [])]

    def names(self, **labels: str) -> set[str]:
        """Return the names of all samples with these labels."""
        return {
            name
            for name in self._lines
            if any(labels.items() <= each.labels.items() for each in self.all(name))
        }


def _sample(name: str, line: str) -> Sample:
    """Return the sample of a line of the Prometheus text format without timestamps."""
    labels, _, value = line.removeprefix(name).rpartition(" ")
    return Sample(
        name, {key: _ESCAPED.sub(_unescaped, text) for key, text in _LABEL.findall(labels)}, float(value)
    )


def _unescaped(escape: re.Match[str]) -> str:
    return "\n" if escape[1] == "n" else escape[1]


class Pie:
    """A controller process, as `async with`; it ends with the test."""

    def __init__(
        self,
        kubeconfig: Path,
        namespace: str,
        *arguments: str,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = (
            *(sys.executable, "-m", "pie", "controller", "--kubeconfig", str(kubeconfig)),
            *("--namespace", namespace, "--container-image", "pie.test/pie:dev"),
            *(
                "--metrics-bind-address",
                "127.0.0.1:0",
                "--health-probe-bind-address",
                "127.0.0.1:0",
                # A killed controller would keep the Lease, and the next one would wait for it.
                "--no-leader-elect",
                *arguments,
            ),
        )
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ports: asyncio.Future[tuple[int, int]] | None = None
        self._leading = asyncio.Event()
        self._log = log
        self._environment = environment or {}
        self.lines: list[str] = []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.returncode is None:
            self.thaw()
            await self.kill()
        if kind is not None:
            sys.stderr.write("\n".join(["pie controller said:", *self.lines[-200:], ""]))

    async def start(self) -> None:
        """Start the process, and return when it serves."""
        self._ports = asyncio.get_running_loop().create_future()
        self._leading.clear()
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT_BYTES,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self._environment},
        )
        self._reader = asyncio.create_task(self._read())
        async with asyncio.timeout(LIMIT_SECONDS):
            await asyncio.shield(self._ports)

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        assert self._ports is not None
        async for raw in self._process.stderr:
            if _is_cut(raw):
                continue
            line = raw.decode().rstrip()
            self.lines.append(line)
            if line.startswith("{"):
                entry = json.loads(line)
                if entry["event"] == "serving":
                    self._ports.set_result((entry["metrics_port"], entry["health_port"]))
                if entry["event"] == "probing":
                    self._leading.set()
        if not self._ports.done():
            self._ports.set_exception(AssertionError("\n".join(["pie did not start:", *self.lines])))

    async def leads(self, timeout_seconds: float = LIMIT_SECONDS) -> None:
        """Return when the process has its caches and leads."""
        async with asyncio.timeout(timeout_seconds):
            await self._leading.wait()

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def leading(self) -> bool:
        """Whether the process said that it leads."""
        return self._leading.is_set()

    async def kill(self) -> None:
        """End the process with SIGKILL."""
        assert self._process is not None
        self._process.kill()
        await self.ended()

    async def stop(self) -> int:
        """End the process with SIGTERM; return its exit status."""
        assert self._process is not None
        self._process.terminate()
        return await self.ended()

    async def ended(self, timeout_seconds: float = LIMIT_SECONDS) -> int:
        """Return the exit status when the process has ended."""
        assert self._process is not None
        assert self._reader is not None
        async with asyncio.timeout(timeout_seconds):
            status = await self._process.wait()
            await self._reader
        return status

    def freeze(self) -> None:
        """Stop the process from running."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def pid(self) -> int:
        """The id of the process."""
        assert self._process is not None
        return self._process.pid

    @property
    def address(self) -> str:
        """Where the page, its API and /metrics are."""
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def ports(self) -> tuple[int, int]:
        """The ports of /metrics and of /healthz."""
        assert self._ports is not None
        return self._ports.result()

    @property
    def entries(self) -> list[dict[str, Any]]:
        """All log lines, decoded."""
        return [json.loads(line) for line in self.lines if line.startswith("{")]

    def said(self, event: str) -> str:
        """Return all log lines of an event."""
        lines = (line for line in self.lines if line.startswith("{"))
        return "\n".join(line for line in lines if json.loads(line)["event"] == event)

    async def get(self, path: str) -> tuple[int, str]:
        """GET a path of the metrics or health server; return status and body."""
        status, body, _rendered = await self._get(path)
        return status, body

    async def _get(self, path: str) -> tuple[int, str, bool]:
        """GET a path; return status, body, and whether a text of /metrics was rendered for this request."""
        assert self._ports is not None
        metrics_port, health_port = self._ports.result()
        port = metrics_port if path == "/metrics" else health_port
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}{path}") as answer,
        ):
            rendered = answer.headers.get("Server-Timing", "").startswith("render")
            return answer.status, await answer.text(), rendered

    async def samples(self) -> Samples:
        """Read what /metrics says from now on: a text that was rendered before is not enough."""
        _status, before, rendered = await self._get("/metrics")
        text = before
        while not rendered and text == before:
            await asyncio.sleep(0.25)
            _status, text, rendered = await self._get("/metrics")
        return Samples(text)

    async def value(self, name: str, **labels: str) -> float | None:
        """Read one sample of /metrics."""
        return (await self.samples()).value(name, **labels)

    async def until_value(
        self,
        name: str,
        wanted: Callable[[float], bool],
        timeout_seconds: float = LIMIT_SECONDS,
        **labels: str,
    ) -> float:
        """Return a sample's value as soon as it is as wanted."""
        last: float | None = None

        async def found() -> tuple[float] | None:
            nonlocal last
            last = Samples((await self.get("/metrics"))[1]).value(name, **labels)
            return (last,) if last is not None and wanted(last) else None

        try:
            (value,) = await until(found, f"{name} {labels}", timeout_seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; last value: {last}") from error
        return float(value)

    async def until_no_samples(self, **labels: str) -> None:
        """Return when /metrics has no sample with these labels."""

        async def none() -> bool:
            return (await self.samples()).names(**labels) == set()

        await until(none, f"no samples with {labels}")


def _is_cut(line: bytes) -> bool:
    """Tell whether a process was killed while it wrote a line: its last one can be part of an entry."""
    if line.endswith(b"\n"):
        return False
    try:
        json.loads(line)
    except ValueError:
        return True
    return False


def pieprobe(name: str, storage_class: str, label: str, **spec: Any) -> dict[str, Any]:
    """Return a PieProbe that selects the nodes with a label, `key` or `key=value`."""
    key, _, value = label.partition("=")
    rule = {"key": key, "operator": "In", "values": [value]} if value else {"key": key, "operator": "Exists"}
    wanted = {
        "monitoringStorageClass": storage_class,
        "nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": [rule]}]},
        # The nodes of a test are always new.
        "suppression": {"newNodeGrace": "0s"},
        **spec,
    }
    return {
        "apiVersion": "pie.topolvm.io/v1alpha1",
        "kind": "PieProbe",
        "metadata": {"name": name},
        "spec": wanted,
    }


async def apply_probe(api: Api, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
    """Apply a PieProbe."""
    return await api.apply(f"{GROUP}/namespaces/{namespace}/pieprobes/{body['metadata']['name']}", body)


async def condition(api: Api, namespace: str, probe: str, kind: str) -> dict[str, Any] | None:
    """Return a condition of a PieProbe, None if it has none of this type."""
    found = await api.get(f"{GROUP}/namespaces/{namespace}/pieprobes/{probe}")
    conditions = found.get("status", {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == kind), None)


async def until_condition(  # noqa: PLR0917  reads as a sentence at its calls
    api: Api,
    namespace: str,
    probe: str,
    kind: str,
    status: str,
    reason: str | None = None,
    timeout_seconds: float = LIMIT_SECONDS,
) -> dict[str, Any]:
    """Return a condition when it has this status (and reason)."""

    async def holds() -> dict[str, Any] | None:
        found = await condition(api, namespace, probe, kind)
        good = found and found["status"] == status and reason in {None, found["reason"]}
        return found if good else None

    result: dict[str, Any] = await until(holds, f"{kind} of {probe} is {status} {reason}", timeout_seconds)
    return result


async def gone(api: Api, path: str) -> bool:
    """Tell whether an object or a whole collection is gone."""
    try:
        found = await api.get(path)
    except ApiError as error:
        if error.status == 404:
            return True
        raise
    return "items" in found and not found["items"]
