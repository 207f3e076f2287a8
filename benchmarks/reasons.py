"""Why goals were not reached, by profile: words of a row in the table of goals -> a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_A_FILE_EACH = (
    "curl writes one file that nobody syncs; here each instance becomes a file, a digest and a row that are"
    " on the disk then: of the real MR's processor time receiving is 25 %, hashing 15 %, making and writing"
    " files 27 %, the index 15 %."
)
_FIRST_IMAGE = (
    "Headers, plan, first slices and the software renderer's first pictures share two processors with Orthanc"
    " and the browser; the goal is one of seconds of a machine about twice as fast."
)
REASONS: Mapping[tuple[str, ...], str] = MappingProxyType(
    {
        ("Starting", "pull with nothing"): (
            "Of 430 ms, beside 190 of the imports, the methods of 76 dataclasses are 90, 124 regular"
            " expressions 50, typer 65, and the work itself 30."
        ),
        ("Click", "page answers"): (
            "Loading NiceGUI with FastAPI, pydantic and aiohttp is two thirds of it, pydicom with numpy and"
            " Pillow 23 %."
        ),
        ("Pull as a process, 40 ms",): (
            "2,000 instances become files, digests and rows at 1.3 to 2.3 ms of processor time each, which is"
            " all of the time: storing is 29 % of it, committing 22 %, requests and their heads 25 %."
        ),
        ("Pull as a process", "times as fast"): (
            "A third of the process is loading modules before the first byte; the larger the series, the less"
            " that weighs."
        ),
        ("Pull", "times as fast"): (
            "dicomweb-client syncs, hashes and indexes nothing; where a goal of a few series is missed, the"
            " sync at the end is what is waited for."
        ),
        ("Pull", "beside curl"): _A_FILE_EACH,
        ("Push", "40 ms"): (
            "The line is the limit for both; that Orthanc works on several requests at once gains on loopback"
            " alone."
        ),
        ("Download",): (
            "Of 0.14 s of processor time for the real MR (Orthanc 0.10), making the body is 0.06, half of it"
            " reading the files, and the rest is asyncio and uvicorn, which copy and send it."
        ),
        ("Origin server", "retrieve"): (
            "Of about 1 ms a request, a third is uvicorn and asyncio, a quarter the thread that reads and the"
            " way there and back, a fifth the index."
        ),
        ("Origin server", "store"): (
            "In a profile of one store after the other 72 % of the time is waiting for syncs; Orthanc has"
            " none; half of the processor time is the commit, which writes 22 pages of SQLite's log for one"
            " instance, as each attribute that is searched has an index."
        ),
        ("Origin server", "99th percentile"): (
            "Each of 64 clients waits for the others, 0.14 s by median at 365 requests a second; the load"
            " itself takes a part of the two processors, and one request in eight is a store that waits for"
            " syncs."
        ),
        ("Viewer", "link to"): _FIRST_IMAGE,
        ("Viewer", "pull while it plays"): (
            "One pull each way, of 0.4 to 0.9 s: runs of one day gave 0.62 and 1.5, so that one pair shows"
            " little."
        ),
        ("studies one after another", "seen"): _FIRST_IMAGE,
        ("A project of",): _FIRST_IMAGE,
        ("A series of 2,000",): (
            "In a profile of the loader headers are 22 %, the plan 24 %, files with their pixels 37 %, memory"
            " that the system hands out 10 %."
        ),
    }
)
