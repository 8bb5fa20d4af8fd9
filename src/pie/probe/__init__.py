"""The code that runs in a probe pod: I/O on the mounted volume, and one result in the termination message.

`main` reads the options and writes the result, `run` puts the steps together: `volume` (is it one, lock
it), `fio`, `sync`, `records` (with `ring`, the pure format on disk). The package loads no CLI framework
and no event loop: a probe pod starts once a minute on every node, and its start-up is cost.
"""
