"""A small Kubernetes in one process: an API server for the kinds pie uses, and the actors around it.

For `pie demo` and for tests without Go, root or containers. It keeps everything in memory and imports only
`pie.core`. `cluster` is the entry point; `apiserver` speaks HTTP, `registry` has the rules of the verbs,
`store` the objects and their history, and `actors` one module for each controller. docs/embedded.md has
what is real, what is simulated, and what is left out.
"""
