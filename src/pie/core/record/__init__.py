"""The flight recorder: the steps of targets as records in files, and how they are run again."""
