"""From the states of a PieProbe's targets to its incidents.

`fold` opens, merges and closes incidents; `close` says why an incident was closed. `text` describes incidents
in words; `stored` writes them into the status of the PieProbe and reads them from there.
"""
