"""Who is notified of changes of procedure steps, and what they have not been sent yet.

Subscriptions and undelivered reports lie in the database of the work list: whichever process changes a step,
the one that a subscriber is connected to sends the report. A report is written in the transaction of the
change that it is about. What a subscriber does not fetch is bounded: the oldest reports go.

References
----------
PS3.4 CC.2.3 (Table CC.2.3-2, subscription states).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dicomdock.archive.index.connection import Connection
from dicomdock.dicom.json_model import DicomJson
from dicomdock.dicom.query import Query
from dicomdock.errors import DicomdockError, InvalidInput
from dicomdock.worklist.procedure_step import ProcedureStep
from dicomdock.worklist.schema import filters, reports, subscribers, subscriptions

GLOBAL: Final = "1.2.840.10008.5.1.4.34.5"  # UPS Global Subscription SOP Instance
FILTERED: Final = "1.2.840.10008.5.1.4.34.5.1"  # UPS Filtered Global Subscription SOP Instance
MAX_SUBSCRIBERS = 256  # AE titles
MAX_WAITING = 1000  # reports that wait for one subscriber
_AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}\Z")  # printable, without the backslash


class TooManySubscribers(DicomdockError):
    """No further AE title can subscribe."""

    http_status = 503


@dataclass(frozen=True, slots=True)
class Waiting:
    """A report that waits for its subscriber.

    Parameters
    ----------
    number : later reports have greater ones.
    report : the event report as DICOM JSON text.
    """

    number: int
    report: str


def check_ae_title(title: str) -> str:
    """Return an AE title without the spaces that mean nothing.

    Raises
    ------
    InvalidInput
        It is not one (PS3.5 Table 6.2-1).
    """
    if not _AE_TITLE.match(title) or not title.strip():
        raise InvalidInput("An AE title has 1 to 16 printable characters, not only spaces, and no backslash.")
    return title.strip()


def subscribe(connection: Connection, title: str, uid: str) -> None:
    """Subscribe to one step.

    Raises
    ------
    TooManySubscribers
    """
    _register(connection, title)
    connection.execute(subscriptions.insert_or_pass, *subscriptions.values({"title": title, "uid": uid}))


def subscribe_globally(connection: Connection, title: str) -> None:
    """Subscribe to all steps, those to come as well.

    Raises
    ------
    TooManySubscribers
    """
    _subscribe_to_new(connection, title, {})
    connection.execute(
        'INSERT INTO procedure_step_subscription ("title", "uid") '
        'SELECT s."title", p."uid" FROM procedure_step p, procedure_step_subscriber s WHERE s."title" = ? '
        "ON CONFLICT DO NOTHING",
        title,
    )


def subscribe_filtered(connection: Connection, title: str, keys: Query, present: Iterable[str]) -> None:
    """Subscribe to the steps that match, those to come as well; a filter that was there is replaced.

    Parameters
    ----------
    keys : what they match.
    present : UIDs of those of the present steps that match and are not subscribed to.

    Raises
    ------
    TooManySubscribers
    """
    _subscribe_to_new(connection, title, keys.match)
    for uid in present:
        connection.execute(subscriptions.insert_or_pass, *subscriptions.values({"title": title, "uid": uid}))


def unsubscribe(connection: Connection, title: str, uid: str) -> None:
    """End the subscription to one step; to all steps where it is the global one, filtered or not."""
    if uid in (GLOBAL, FILTERED):
        connection.execute('DELETE FROM procedure_step_filter WHERE "title" = ?', title)
        connection.execute('DELETE FROM procedure_step_subscriber WHERE "title" = ?', title)
        connection.execute('DELETE FROM procedure_step_subscription WHERE "title" = ?', title)
        connection.execute('DELETE FROM procedure_step_report WHERE "title" = ?', title)
    else:
        connection.execute(
            'DELETE FROM procedure_step_subscription WHERE "title" = ? AND "uid" = ?', title, uid
        )
        connection.execute(
            'DELETE FROM procedure_step_subscriber WHERE "title" = ? AND "everything" = ? '
            'AND "title" NOT IN (SELECT "title" FROM procedure_step_subscription)',
            title,
            False,
        )


def suspend(connection: Connection, title: str) -> bool:
    """End the subscription to steps to come, not that to those that are there; whether there was one."""
    asked = 'SELECT "title" FROM procedure_step_subscriber WHERE "title" = ? AND "everything" = ?'
    there = connection.first(asked, title, True) is not None
    connection.execute(
        'UPDATE procedure_step_subscriber SET "everything" = ? WHERE "title" = ?', False, title
    )
    return there


def not_subscribed(connection: Connection, title: str, *, after: str = "", limit: int = 0) -> Sequence[str]:
    """Return the UIDs of steps that an AE title is not subscribed to, in their order.

    Parameters
    ----------
    after : only UIDs that come later.
    limit : at most so many; by default as many as reports can wait for it.
    """
    return connection.column(
        'SELECT "uid" FROM procedure_step WHERE "uid" > ? AND "uid" NOT IN '
        '(SELECT "uid" FROM procedure_step_subscription WHERE "title" = ?) ORDER BY "uid" LIMIT ?',
        after,
        title,
        limit or MAX_WAITING,
    )


def titles_of(connection: Connection, uid: str) -> Sequence[str]:
    """Return the AE titles that are subscribed to a step."""
    return connection.column('SELECT "title" FROM procedure_step_subscription WHERE "uid" = ?', uid)


def add_new(connection: Connection, step: ProcedureStep) -> None:
    """Subscribe to a new step whoever is subscribed to all, or to those that it is one of."""
    asked = (
        'SELECT s."title", f."keys" FROM procedure_step_subscriber s LEFT JOIN procedure_step_filter f '
        'ON f."title" = s."title" WHERE s."everything" = ?'
    )
    for title, keys in connection.all(asked, True):
        if not keys or _matches(step, keys):
            connection.insert(subscriptions, [subscriptions.values({"title": title, "uid": step.uid})])


def add_matching(connection: Connection, before: ProcedureStep, after: ProcedureStep) -> Sequence[str]:
    """Subscribe to a step that has changed those whose filter it matches now and did not before.

    Who has ended the subscription to this step, which matched before, stays without it.

    Returns
    -------
    The AE titles that were not subscribed to it.
    """
    asked = (
        'SELECT f."title", f."keys" FROM procedure_step_filter f JOIN procedure_step_subscriber s '
        'ON s."title" = f."title" WHERE s."everything" = ? AND f."title" NOT IN '
        '(SELECT "title" FROM procedure_step_subscription WHERE "uid" = ?)'
    )
    joined = [
        title
        for title, keys in connection.all(asked, True, after.uid)
        if _matches(after, keys) and not _matches(before, keys)
    ]
    connection.insert(
        subscriptions, [subscriptions.values({"title": title, "uid": after.uid}) for title in joined]
    )
    return joined


def put(connection: Connection, titles: Iterable[str], events: Sequence[DicomJson]) -> None:
    """Write reports for subscribers, in the order of the events."""
    if not events:
        return
    last = connection.first('SELECT max("number") FROM procedure_step_report')
    number = max(int(last[0] or 0) if last else 0, int(time.time() * 1e6))
    for title in titles:
        for event in events:
            number += 1
            message: DicomJson = {"00000110": {"vr": "US", "Value": [number % 65536]}}
            text = json.dumps({**event, **message}, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
            connection.execute(reports.insert, number, title, False, text)
        oldest = connection.first(
            'SELECT "number" FROM procedure_step_report WHERE "title" = ? ORDER BY "number" DESC '
            "LIMIT 1 OFFSET ?",
            title,
            MAX_WAITING,
        )
        if oldest:
            connection.execute(
                'DELETE FROM procedure_step_report WHERE "title" = ? AND "number" <= ?', title, oldest[0]
            )


def begin(connection: Connection, title: str) -> int:
    """Return the number after which a new connection reads: what was not sent yet comes first."""
    unsent = connection.first(
        'SELECT min("number") FROM procedure_step_report WHERE "title" = ? AND "sent" = ?', title, False
    )
    if unsent and unsent[0] is not None:
        return int(unsent[0]) - 1
    last = connection.first('SELECT max("number") FROM procedure_step_report WHERE "title" = ?', title)
    return int(last[0] or 0) if last else 0


def waiting(connection: Connection, title: str, after: int, limit: int) -> Sequence[Waiting]:
    """Return the first reports for a subscriber after a number."""
    asked = (
        'SELECT "number", "report" FROM procedure_step_report WHERE "title" = ? AND "number" > ? '
        'ORDER BY "number" LIMIT ?'
    )
    return [Waiting(*row) for row in connection.all(asked, title, after, limit)]


def mark_sent(connection: Connection, title: str, number: int) -> None:
    """Note that a subscriber was sent all reports up to a number."""
    connection.execute(
        'UPDATE procedure_step_report SET "sent" = ? WHERE "title" = ? AND "number" <= ? AND "sent" = ?',
        True,
        title,
        number,
        False,
    )


def _matches(step: ProcedureStep, keys: str) -> bool:
    return Query("instances", json.loads(keys)).matches(step.attributes)


def _subscribe_to_new(connection: Connection, title: str, keys: Mapping[str, str]) -> None:
    _register(connection, title)
    connection.execute('UPDATE procedure_step_subscriber SET "everything" = ? WHERE "title" = ?', True, title)
    connection.execute('DELETE FROM procedure_step_filter WHERE "title" = ?', title)
    if keys:
        connection.insert(filters, [filters.values({"title": title, "keys": json.dumps(dict(keys))})])


def _register(connection: Connection, title: str) -> None:
    if connection.first('SELECT "title" FROM procedure_step_subscriber WHERE "title" = ?', title):
        return
    count = connection.first('SELECT count("title") FROM procedure_step_subscriber')
    if count and count[0] >= MAX_SUBSCRIBERS:
        raise TooManySubscribers(f"{MAX_SUBSCRIBERS} AE titles are subscribed; no further one can.")
    connection.insert(subscribers, [subscribers.values({"title": title, "everything": False})])
