"""`pie check`: what the controller does all the time, done once, with the user's own rights.

`survey` looks at the cluster and says what can be checked. `work` takes each target through its runs,
which `follow` follows and judges. `cleanup` takes everything away again. `perform` puts them together.
"""
