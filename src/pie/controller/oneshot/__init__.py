"""`pie check`: it does once what the controller does all the time, with the permissions of the user.

`survey` reads the cluster and decides what can be checked. `work` starts the runs of each target; `follow`
follows and judges them. `cleanup` deletes everything again. `perform` puts them together.
"""
