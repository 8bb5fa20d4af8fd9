"""Write what is generated in docs/ from the code: the runbooks, and the tables of reasons and of sizes."""

from website import sizing
from website.runbooks import page

page.write()
sizing.PAGE.write_text(sizing.page())
