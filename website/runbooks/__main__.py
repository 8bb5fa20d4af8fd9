"""Write docs/runbooks and the table of docs/reasons.md."""

from website.runbooks.page import write

write()
