"""Tools that segment: programs of this machine and services, run on a series and watched while they run.

They know files and bytes, no archive: ``api.tools`` hands them a series and reads what they made of it.
"""
