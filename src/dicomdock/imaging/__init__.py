"""What the pixels mean: geometry, volumes, segmentations and the other objects a viewer reads and makes.

Nothing here reads or writes a file: Datasets, bytes and arrays come in, values and Datasets go out.
Positions are in millimetres in the patient's LPS system; arrays are indexed (k, j, i): slice, row, column.
"""
