"""`python -m testbed.csi serve …`: one driver process. `python -m testbed.csi thaw DIR`: free what a dead testbed left."""

import argparse
import asyncio
from pathlib import Path

from testbed.csi.leftovers import thaw_left_behind
from testbed.csi.server import Options, serve


def main() -> None:
    """Parse the command line and run."""
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
    server.add_argument("--attach", action="store_true", help="volumes must be attached, and lie on no node")
    server.add_argument("--services", choices=("all", "controller", "node"), default="all")
    thaw = commands.add_parser(
        "thaw", help="thaw frozen volumes below a directory, so that stuck processes can end"
    )
    thaw.add_argument("directory", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "thaw":
        for image in asyncio.run(thaw_left_behind(arguments.directory)):
            print(f"thawed {image}")
        return
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
    )
    asyncio.run(serve(options))


main()
