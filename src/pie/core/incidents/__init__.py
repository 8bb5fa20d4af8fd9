"""States of a PieProbe's targets to incidents.

`fold` opens, merges and ends them, and `close` says why one is over. `text` puts them into words, `stored`
into the status of the PieProbe and back.
"""
