"""`python -m testbed.csi …`: one driver process."""

import argparse
import asyncio
from pathlib import Path

from testbed.csi.server import Options, serve


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m testbed.csi", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    server = commands.add_parser("serve", help="serve CSI for one node")
    server.add_argument("--driver", required=True, help="the driver's name")
    server.add_argument("--node", required=True, help="the node's name")
    server.add_argument("--socket", required=True, type=Path, help="the CSI socket")
    server.add_argument("--registration", type=Path, help="the socket in kubelet's plugins_registry")
    server.add_argument("--state", required=True, type=Path, help="a directory of the process's own")
    server.add_argument("--pool", required=True, type=Path, help="the directory with the backing files")
    server.add_argument("--pool-bytes", required=True, type=int, help="the capacity of all volumes together")
    server.add_argument(
        "--all-pools", action="store_true", help="--pool is a testbed: serve the volumes of all nodes"
    )
    server.add_argument("--attach", action="store_true", help="volumes must be attached, and lie on no node")
    server.add_argument("--services", choices=("all", "controller", "node"), default="all")
    arguments = parser.parse_args()
    options = Options(
        driver=arguments.driver,
        node_name=arguments.node,
        socket=arguments.socket,
        registration=arguments.registration,
        state=arguments.state,
        pool=arguments.pool,
        pool_bytes=arguments.pool_bytes,
        attach=arguments.attach,
        controller=arguments.services != "node",
        node=arguments.services != "controller",
        all_pools=arguments.all_pools,
    )
    asyncio.run(serve(options))


main()
