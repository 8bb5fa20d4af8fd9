"""The testbed's CSI driver: volumes are files with a filesystem on a loop device.

One process per node serves CSI and kubelet's plugin registration on unix sockets, and a control socket on
which faults are armed. There are two variants: node-local volumes, like those of TopoLVM, and volumes that
must be attached first (`--attach`), like those of network storage.

- `pool`: the files on disk, with a capacity. `filesystems`: mkfs, mount, freeze and the like.
- `identity`, `controller`, `node`: the CSI services; `calls`: what every call has in common.
- `armed`: the faults that are armed. `bites`: what they do to mounted volumes; `backing`: to backing files.
- `server`: one driver process. `control`: the commands of its control socket.
- `stubs`: generated from the .proto files of pinned Go modules.
"""
