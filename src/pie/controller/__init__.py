"""The controller: observe, plan, act.

Caches and indexes (`observe`) feed a work queue (`queue`). `targets` keeps every target's objects as they
should be, `runs` watches what becomes of their pods, `conditions` writes the status. `app` wires them.
"""
