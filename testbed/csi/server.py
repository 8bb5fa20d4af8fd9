"""One driver process: its sockets and its parts."""

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import structlog

from testbed import control
from testbed.csi import stubs
from testbed.csi.armed import Armed
from testbed.csi.backing import BackingFiles
from testbed.csi.bites import Bites
from testbed.csi.calls import Calls
from testbed.csi.control import Control
from testbed.csi.controller import Controller
from testbed.csi.identity import Identity, Registration
from testbed.csi.locks import VolumeLocks
from testbed.csi.node import Node
from testbed.csi.pool import AllPools, Pool

TOPOLOGY_KEY = "topology.pie.test/node"
GRACE_SECONDS = 2

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of a driver process.

    `state`: its own directory, for armed faults and the control socket. `attach`: volumes must be attached,
    and every node can reach them; otherwise they are node-local. `controller`, `node`: which of the two
    services it serves. `registration`: the socket in the kubelet's plugins_registry; None: it does not
    register. `all_pools`: it serves the volumes of all nodes, and `pool` is the directory of the testbed.
    """

    driver: str
    node_name: str
    socket: Path
    registration: Path | None
    state: Path
    pool: Path
    pool_bytes: int
    attach: bool
    controller: bool
    node: bool
    all_pools: bool = False

    @property
    def control_socket(self) -> Path:
        """Return the file of the armed faults."""
        return control_socket(self.state)


def control_socket(state: Path) -> Path:
    """Return the control socket of the driver with this state directory."""
    return state / "control.sock"


async def serve(options: Options) -> None:
    """Serve until SIGTERM or SIGINT. Mounts stay."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    generated = await asyncio.to_thread(stubs.load)
    options.state.mkdir(parents=True, exist_ok=True)
    pool = (AllPools if options.all_pools else Pool)(options.pool, options.pool_bytes)
    if not options.all_pools:
        pool.prepare()
    if options.node:
        pool.add_node(options.node_name)
    async with asyncio.TaskGroup() as tasks:
        await _serve_until(stop, options, generated, pool, tasks)


async def _serve_until(
    stop: asyncio.Event, options: Options, generated: stubs.Stubs, pool: Pool, tasks: asyncio.TaskGroup
) -> None:
    armed = Armed(options.state / "armed.json")
    locks = VolumeLocks()
    bites = Bites(pool, armed, tasks)
    backing = BackingFiles(pool, armed)
    calls = Calls(pool, armed)
    segments = {} if options.attach else {TOPOLOGY_KEY: options.node_name}

    services = generated.csi.DESCRIPTOR.services_by_name
    identity = Identity(generated, options.driver, options.attach, options.controller)
    handlers = [stubs.handler(services["Identity"], identity)]
    if options.controller:
        controller = Controller(generated, pool, armed, locks, backing, segments, options.attach)
        handlers.append(stubs.handler(services["Controller"], controller))
    if options.node:
        node = Node(
            generated, options.node_name, pool, armed, locks, bites, backing, segments, options.attach
        )
        handlers.append(stubs.handler(services["Node"], node))
    servers = [_server(options.socket, calls, handlers)]
    if options.registration:
        service = generated.registration.DESCRIPTOR.services_by_name["Registration"]
        registration = Registration(generated, options.driver, options.socket, options.registration)
        servers.append(_server(options.registration, calls, [stubs.handler(service, registration)]))

    commands = Control(pool, armed, locks, bites, backing, calls).commands()
    options.control_socket.unlink(missing_ok=True)
    for server in servers:  # registration last: the kubelet calls back at once
        await server.start()
    async with control.serve(options.control_socket, commands):
        log.info("serving", driver=options.driver, node=options.node_name, socket=str(options.socket))
        await stop.wait()
        log.info("stopping")
    for server in reversed(servers):
        await server.stop(GRACE_SECONDS)
    for socket in (options.registration, options.socket):
        if socket:
            socket.unlink(missing_ok=True)
    await bites.stop()


def _server(socket: Path, calls: Calls, handlers: list[Any]) -> grpc.aio.Server:
    socket.parent.mkdir(parents=True, exist_ok=True)
    socket.unlink(missing_ok=True)  # a driver that crashed left it
    server = grpc.aio.server(interceptors=[calls])
    server.add_generic_rpc_handlers(handlers)
    server.add_insecure_port(f"unix:{socket}")
    return server
