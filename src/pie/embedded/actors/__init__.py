"""The controllers around the API server: each is a function that looks at all its objects.

Whenever something changed, `EmbeddedCluster` calls them all. Each brings what it finds one step nearer to
what it should be, and returns after how many seconds to look again though nothing changes (None: not before).
"""
