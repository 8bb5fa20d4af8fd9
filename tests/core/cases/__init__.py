"""What real clusters said, and what pie makes of it: one table for each kind of text.

docs/verdicts.md is made of these tables: `python -m tests.core.cases` writes it.
"""
