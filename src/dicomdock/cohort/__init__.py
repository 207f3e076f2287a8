"""Cohorts: a table of many series with where each comes from, and what was done with each of them.

The table is written once for each version and never changed; what became of a series (pulled, computed,
exported, sent) is a row of a small database beside it, so that whatever ended a command, the same command
does the rest.
"""
