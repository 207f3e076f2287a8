"""Probing a server: is it there, where is its base, what does it support."""

from dicomdock.dicomweb.probe.report import Finding, Report
from dicomdock.dicomweb.probe.runner import MOST_REQUESTS, find_base, test

__all__ = ["MOST_REQUESTS", "Finding", "Report", "find_base", "test"]
