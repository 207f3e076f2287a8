"""The Python API: the local archive with numpy, for notebooks, scripts and the command line.

``archive`` stores instances and ``imaging`` knows what their pixels mean; neither imports the other. Here a
series becomes a volume, an array becomes a segmentation of the same study, and both are sent to a server.
"""
