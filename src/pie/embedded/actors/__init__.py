"""The actors around the API server, one module each; `loop` runs them.

Each is level-based: whenever something changed it looks at everything it is in charge of, and brings it one
step nearer to what it should be.
"""
