"""``weasis://?$dicom:rs --url="..." --request="studyUID=..." --header="Authorization: Bearer ..."``.

The button that Orthanc Explorer 2, VIP, dcm4chee and others have for Weasis then works for us too.

References
----------
weasis.org, "Weasis protocol" and "dicom:rs".
"""

from __future__ import annotations

import re
import shlex

from dicomdock.errors import LaunchError
from dicomdock.launch.link.address import check_address
from dicomdock.launch.link.request import LaunchOptions, LaunchRequest, Secret
from dicomdock.launch.link.text import decode, exact_value, read_query, read_token, read_uids, resources_of

_SHORT = {"-u": "--url", "-r": "--request", "-H": "--header"}
_HEADERS = ("--header", "--query-header", "--retrieve-header")
_TOKEN_HEADERS = (
    "authorization",
    "token",
    "api-token",
    "auth-token",
    "x-auth-token",
)  # the latter are Orthanc's
_FIND = {"patientID": "PatientID", "accessionNumber": "AccessionNumber"}
_COMMAND = re.compile(r"\$[a-z]+:[a-z]+\Z")


def parse_weasis(link: str) -> LaunchRequest:
    """Read a ``weasis://`` link; ``$dicom:rs`` is followed, ``$weasis:config`` passed over.

    Raises
    ------
    LaunchError
        Another command, several of them, no server, nothing to find, or a header that we do not send for a
        page.
    """
    encoded = link.partition("://")[2].lstrip("/").removeprefix("?")
    options = _dicom_rs(_words(decode(encoded, plus_is_blank=True)))
    if len(options.get("--url", ())) != 1:
        raise LaunchError("This Weasis link names no server or several; it needs exactly one --url.")
    # Decoded already: a percent sign stands for itself now.
    values = read_query(
        "&".join(options.get("--request", ())).replace("%", "%25"), lists=("studyUID", "seriesUID")
    )
    studies = read_uids(values.get("studyUID", ""), "studyUID")
    find = tuple((keyword, exact_value(values[key])) for key, keyword in _FIND.items() if values.get(key))
    if not studies and not find:
        raise LaunchError(
            "This Weasis link names no study; its --request needs a studyUID, accessionNumber or patientID."
        )
    token, header = _token([value for name in _HEADERS for value in options.get(name, ())])
    return LaunchRequest(
        check_address(options["--url"][0], "--url"),
        resources_of(studies, read_uids(values.get("seriesUID", ""), "seriesUID")),
        token,
        LaunchOptions("weasis", find=() if studies else find, token_header=header),
    )


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        raise LaunchError(
            "This Weasis link has a quotation mark that is not closed; the page that made it is wrong."
        ) from None


def _dicom_rs(words: list[str]) -> dict[str, list[str]]:
    """Return the options of the one ``$dicom:rs`` command, by long name."""
    commands: list[tuple[str, list[str]]] = []
    for word in words:
        if _COMMAND.match(word):
            commands.append((word, []))
        elif commands:
            commands[-1][1].append(word)
        else:
            raise LaunchError("This Weasis link does not begin with a command; dicomdock follows $dicom:rs.")
    wanted = [arguments for name, arguments in commands if name != "$weasis:config"]
    if len(wanted) != 1 or any(name not in ("$dicom:rs", "$weasis:config") for name, _ in commands):
        raise LaunchError(
            "This Weasis link does not hold exactly one $dicom:rs command; dicomdock follows no other."
        )
    options: dict[str, list[str]] = {}
    name = ""
    for word in wanted[0]:
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            if equals:
                options.setdefault(name, []).append(value)
        elif word in _SHORT:
            name = _SHORT[word]
        elif name:
            options.setdefault(name, []).append(word)
    return options


def _token(headers: list[str]) -> tuple[Secret | None, str]:
    """Find the token among the link's header fields; what carries none (Accept) is passed over."""
    found: dict[tuple[Secret, str], None] = {}
    for line in headers:
        name, _, value = line.partition(":")
        key = name.strip().lower()
        if key in ("accept", "accept-language", "user-agent"):
            continue
        if key not in _TOKEN_HEADERS:
            raise LaunchError(
                "This Weasis link asks for a header field that dicomdock does not send for a page."
            )
        if key == "authorization":
            kind, _, value = value.strip().partition(" ")
            if kind.lower() != "bearer":
                raise LaunchError(
                    "This Weasis link brings a login other than a Bearer token; "
                    "add the server with `dicomdock server add` instead."
                )
        token = read_token(value)
        if token is not None:
            found[token, "Authorization" if key == "authorization" else key] = None
    if len(found) > 1:
        raise LaunchError("This Weasis link brings several tokens; which one counts would be a guess.")
    return next(iter(found), (None, "Authorization"))
