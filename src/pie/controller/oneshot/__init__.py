"""`pie check`: what the controller does all the time, done once, with the user's own rights.

`survey` reads the cluster and says what can be checked. `work` starts the runs of each target; `follow`
follows and judges them. `cleanup` deletes everything again. `perform` puts them together.
"""
