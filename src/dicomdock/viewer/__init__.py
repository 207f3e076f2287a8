"""The viewer process: one study on 3D Slicer's engine, drawn here and seen in the browser.

The only package that imports trame, slicer and vtk. It is started by ``dock.services.viewers``, as
``python -m dicomdock.viewer``, and controlled over its standard streams (``channel``).
"""
