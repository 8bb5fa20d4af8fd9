"""The testbed's CSI driver: volumes are files with a filesystem on a loop device, from a pool with a real capacity.

One process per node serves CSI and kubelet's plugin registration on unix sockets, and a control socket through which
faults are armed. Two flavours: node-local volumes as TopoLVM has them, and volumes that must be attached first (`--attach`).

- `pool`: what lies on disk. `filesystems`: mkfs, mount, freeze and the like. `extents`: where a file's bytes lie.
- `identity`, `controller`, `node`: the CSI services. `stubs`: generated from the .proto files of pinned Go modules.
- `armed`: which faults are armed. `rules`, `bites`, `backing`: what they do to RPCs, mounts, and backing files.
- `server`: one driver process. `control`: its control socket. `components`: driver and sidecars as the testbed's processes.
"""
