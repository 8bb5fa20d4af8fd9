"""Everything that talks to the API server: configuration, client, reflector, pacing, leader election.

Imports `pie.core` only for the wire Structs. Nothing here knows what a probe is.
"""
