"""The controller: observe, plan, act.

Caches and indexes (`observe`) feed a work queue (`queue`). `targets` keeps every target's objects as they
should be, after a `survey` of its nodes. `runs` follows what becomes of their pods (`tracking`), with what
`witness` and `evidence` saw, what `volumes` remember and what `maintenance` excuses; `missed` notices the
runs that never were, and `tally` counts them all. `incidents` makes one fault of many bad targets, which
`announcements` makes known, `teardown` follows what runs leave behind, `sweep` takes away what nobody needs,
`conditions` writes the status. `app` wires them.
"""
