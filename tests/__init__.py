"""Tests mirror ``src/dicomdock``; fixtures are in ``conftest.py``, made data sets in ``builders.py``."""
