"""The workbench: the archive with numpy in its hands, for notebooks, scripts and the command line.

``archive`` keeps instances and ``imaging`` knows what their pixels mean; neither knows the other. Here they
meet: a series becomes a volume, an array becomes a segmentation of the same study, and both go to a server.
"""
