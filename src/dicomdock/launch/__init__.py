"""Links from other programs: read, trusted, registered with the system and handed to the running dock."""

SCHEMES = ("dicomdock", "slicer", "weasis")
"""The schemes that an operating system can hand to us; web addresses are pasted instead."""

MAX_LINK = 16 * 1024  # bytes; a Keycloak token is some 2 kB, and a link of 50 studies 4 kB
