"""The pages: one file each, with a function ``page(services, visit)`` that builds what is below the header.

To add a page: write ``pages/NAME.py`` with that function, and a line in ``pages.table.PAGES``.
"""
