"""How fast runs start: as the budgets allow, and as the control plane can take.

`budget` decides how much longer the periods of PieProbes have to be, `throttle` how much the control plane
has to be spared, and `condition` says so in the status.
"""
