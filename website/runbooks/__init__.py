"""The runbook pages `docs/runbooks/<Reason>.md`, one for each reason.

Meaning, area and advice are those of `pie.core.reasons`. The texts of clusters are rows of
`tests/core/cases`, each of which is a test. The YAML files add how pie knows, the commands, the steps, and
what is not the cause. `make pages` writes the pages; a test compares.
"""
