"""The resident probe: a pod that keeps its volume mounted, and says by a status code how I/O on it goes."""
