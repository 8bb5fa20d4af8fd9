"""From facts about nodes to suppression: the `marks` of maintenance, what suppresses `now`, its `history`.

`excuse` says which bad runs maintenance explains, and `overdue` which nodes are suppressed for too long.
"""
