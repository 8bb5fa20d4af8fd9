"""The controller: observe, plan, act.

Caches and indexes (`caches`) feed a work queue (`queue`). `targets` keeps every target's objects as they
should be, on the nodes that `nodeselection` finds. `runs` follows what becomes of their pods (`tracking`),
with what `witness` and `warnings` saw, what `volumes` remember and what `maintenance` excuses; `missed`
notices the runs that never were, and `tally` counts them all. `incidentkeeper` makes one fault of many bad
targets, which `events` makes known, `teardown` follows what runs leave behind, `discard` deletes what nobody
needs, `statuswriter` writes the status. `build` puts them together,
`app` runs them.
"""
