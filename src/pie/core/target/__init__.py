"""The whole life of one target: what is remembered of it, what is known now, and what follows.

`step(state, facts, now)` is pure. The state is all that pie remembers of the target; facts are all that is
known of it from outside; effects are what is to be done, in order. A test, a recording and the controller
call the same function.
"""
