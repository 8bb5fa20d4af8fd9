"""What PieProbes cost a cluster: writes, Events, objects and I/O, each against what the cluster can take.

`lines` has the figures of a run as tables, `load` multiplies them, `ceilings` has what the cluster can take,
`plan` puts them together and recommends, `report` is what `pie plan` prints. `condition` is for the status.
"""
