"""Node facts to suppression: `marks` that name maintenance, what is so `now`, its `history`.

`excuse` says which runs are not held against storage, and `overdue` what has been suppressed for too long.
"""
