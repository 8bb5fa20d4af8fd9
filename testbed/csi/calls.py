"""What every CSI call has in common: armed delays and refusals, errors as gRPC statuses, one log line."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import grpc
import structlog

from testbed.csi.armed import Armed, RpcFault
from testbed.csi.filesystems import CommandError
from testbed.csi.pool import Pool

log = structlog.get_logger()

CLAIM_NAME = "csi.storage.k8s.io/pvc/name"  # parameters that csi-provisioner adds (--extra-create-metadata)
CLAIM_NAMESPACE = "csi.storage.k8s.io/pvc/namespace"


class CallError(Exception):
    """The answer to a CSI call is this status and message."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        """`message` is for the reader of the Event."""
        super().__init__(message)
        self.code = code


class Calls(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpcio has no types
    """Wraps every method of every service."""

    def __init__(self, pool: Pool, armed: Armed) -> None:
        """Find the PVCs of volumes in `pool`, and the faults of calls in `armed`."""
        self._pool = pool
        self._armed = armed
        self._first_called: dict[tuple[str, str, str], float] = {}
        self._ended: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        """Implement the interceptor of grpc.aio."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method.rsplit("/", 1)[-1]

        async def wrapped(request: Any, context: Any) -> Any:
            try:
                await self._suffer(method, request)
                answer = await handler.unary_unary(request, context)
            except CallError as error:
                log.info("refused", method=method, code=error.code.name, message=str(error))
                await context.abort(error.code, str(error))
            except (CommandError, OSError) as error:
                log.exception("failed", method=method)
                await context.abort(grpc.StatusCode.INTERNAL, str(error))
            log.debug("served", method=method)
            return answer

        return grpc.unary_unary_rpc_method_handler(
            wrapped,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def disarmed(self, name: str) -> None:
        """End the delays of a fault: calls that wait go on."""
        self._ended.pop(name, asyncio.Event()).set()
        for key in [key for key in self._first_called if key[0] == name]:
            del self._first_called[key]

    async def _suffer(self, method: str, request: Any) -> None:
        subject = getattr(request, "volume_id", "") or getattr(request, "name", "")
        for name, fault in self._armed.concerning(RpcFault, self._claim(request)):
            if fault.rpc != method:
                continue
            log.info("suffering", fault=name, method=method, subject=subject)
            key = (name, method, subject)
            first = self._first_called.setdefault(key, time.monotonic())
            ended = self._ended[name]
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), max(0, first + fault.delay_seconds - time.monotonic()))
            if ended.is_set():
                continue
            self._first_called.pop(key, None)
            if fault.code:
                raise CallError(grpc.StatusCode[fault.code], fault.message)

    def _claim(self, request: Any) -> str:
        if parameters := getattr(request, "parameters", None):
            return claim(parameters)
        volume = self._pool.find(getattr(request, "volume_id", ""))
        return volume.claim if volume else "/"


def claim(parameters: Any) -> str:
    """Return `<namespace>/<name>` of the PVC for which a volume is created; `/`: not known."""
    return f"{parameters.get(CLAIM_NAMESPACE, '')}/{parameters.get(CLAIM_NAME, '')}"
