"""The imitations judge the client by what real servers do, not by the client's own code."""

from __future__ import annotations

import ast
import inspect

import pytest

from tests.conftest import PROJECT
from tests.servers import imitations


@pytest.mark.slow
def test_no_server_of_the_tests_matches_by_the_code_that_it_judges():
    """A server and the client that share one reading of a key would be wrong in the same way."""
    folders = [PROJECT / "tests" / "servers", PROJECT / "tests" / "dicomweb"]
    judged = {"dicomdock.dicom.query", "dicomdock.dicom.criteria"}
    files = [*folders[0].rglob("*.py"), folders[1] / "awkward.py"]
    assert len(files) > 15
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not judged.intersection(names), file


def test_every_imitation_names_its_source():
    for kind in imitations.__all__:
        if kind != "Imitation":
            module = inspect.getmodule(getattr(imitations, kind))
            assert "Sources" in (module.__doc__ or ""), kind
