"""The viewer process: one study on 3D Slicer's engine, drawn here and seen in the browser.

The only place that imports trame, slicer and vtk. It is started by ``dock.viewers``, as
``python -m dicomdock.viewer``, and told what to do over its standard streams (``channel``).
"""
