"""Processes that run a user's function: one that hangs or ends costs one answer."""

from __future__ import annotations

import os
import sys

import pytest

from dicomdock.cohort.children import Children, Lost
from dicomdock.errors import InvalidInput

CHILD = """
import json, os, sys, time
for line in sys.stdin:
    message = json.loads(line)
    if message.get("do") == "hang":
        time.sleep(1000)
    if message.get("do") == "die":
        os._exit(7)
    if message.get("do") == "cut":
        print('{"half"', end="", flush=True)
        os._exit(0)
    print(json.dumps({"pid": os.getpid(), **message}), flush=True)
"""


@pytest.mark.slow
def test_a_child_lives_on_and_one_that_hangs_or_ends_is_replaced():
    with Children([sys.executable, "-c", CHILD], {"hello": 1}) as children:
        greeting = children.greeting()
        assert greeting["hello"] == 1
        same = children.ask({"number": 2}, 60)
        assert (same["pid"], same["number"]) == (greeting["pid"], 2)
        assert children.ask({"do": "die"}, 60) == Lost("Its process ended: exit code 7.")
        assert children.ask({"do": "cut"}, 60) == Lost("Its process ended: exit code 0.")
        assert children.ask({"do": "hang"}, 0.5) == Lost("It took longer than 0.5 seconds.")
        last = children.ask({"number": 3}, 60)
        assert last["number"] == 3
    with pytest.raises(ProcessLookupError):
        os.kill(last["pid"], 0)


def test_a_child_that_refuses_to_begin_says_why():
    refusing = """print('{"error": "no such function"}', flush=True)"""
    children = Children([sys.executable, "-c", refusing], {})
    with children, pytest.raises(InvalidInput, match="no such function"):
        children.greeting()
