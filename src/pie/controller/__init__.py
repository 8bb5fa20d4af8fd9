"""The controller: gather, decide, act.

Caches and indexes (`caches`) feed a work queue (`queue`). `probes` reads PieProbes, `nodes` follows the nodes
that each selects, `runners` start runs. For each target, `facts` gathers what is known (with what `warnings`
saw), `targets` decides by a pure step, and `perform` carries out what that says: `objects` keeps its PVC,
`questions` asks the API server. For each PieProbe, `probefacts` gathers and `probeturns` decides and acts:
`events` and `statuswriter` report. `teardown` follows what runs leave behind.
`build` puts them together, `app` runs them.
"""
