"""Keeping: from a whole temporary file to a file in its place with its row, so that no crash tears them
apart.

Order: the places are noted, the note and the files synced, then under the index's write lock the files are
renamed, the folders synced, the rows put in and committed. A crash in between leaves files without rows and
the note that tells which; ``recovery`` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, delete, insert

from dicomdock.archive.index.engine import Index
from dicomdock.archive.index.queries import BATCH, known_rows
from dicomdock.archive.index.schema import doomed, replacing
from dicomdock.archive.pending import AddStatus, Arrival, exchange, insert_arrivals
from dicomdock.archive.storage.local import Files, Session, disk_errors, sync_files
from dicomdock.dicom.resource import Resource


def keep(
    files: Files, index: Index, session: Session, arrivals: Sequence[Arrival], *, origin: str, made_here: bool
) -> list[tuple[Arrival, AddStatus]]:
    """Put synced temporary files in their places and into the index.

    Returns
    -------
    Those that another process had stored meanwhile, and what that makes of them.
    """
    with disk_errors("Writing to the archive"):
        facts = {"origin": origin, "made_here": made_here}
        note = session.announce(facts, (arrival.place for arrival in arrivals))
        sync_files([note, *(arrival.written for arrival in arrivals)])
        if any(arrival.replace for arrival in arrivals):
            _announce_exchange(index, arrivals)
        with index.writing() as connection:
            there = known_rows(connection, (arrival.resource for arrival in arrivals))
            fresh = [arrival for arrival in arrivals if arrival.resource not in there]
            others = [arrival for arrival in arrivals if arrival.resource in there]
            changed = [
                arrival
                for arrival in others
                if arrival.repair or (arrival.replace and _differs(arrival, there))
            ]
            _spare(connection, [arrival.place for arrival in arrivals])
            files.place((arrival.written, files.folder / arrival.place) for arrival in (*fresh, *changed))
            if fresh:
                insert_arrivals(connection, fresh, origin=origin, made_here=made_here)
            for arrival in changed:
                if not arrival.repair:
                    number = there[arrival.resource][0]
                    exchange(connection, number, arrival, origin=origin, made_here=made_here)
                    connection.execute(delete(replacing).where(replacing.c.path == arrival.place))
        note.unlink()
        late: list[tuple[Arrival, AddStatus]] = []
        for arrival in others:
            if arrival not in changed:
                arrival.written.unlink()
                late.append((arrival, "conflict" if _differs(arrival, there) else "identical"))
    return late


def _differs(arrival: Arrival, there: Mapping[Resource, tuple[int, str]]) -> bool:
    return there[arrival.resource][1] != arrival.digest


def _announce_exchange(index: Index, arrivals: Sequence[Arrival]) -> None:
    """Note for each file that is to be replaced what it will be."""
    with index.writing() as connection:
        there = known_rows(connection, (arrival.resource for arrival in arrivals))
        for arrival in arrivals:
            if arrival.resource in there and _differs(arrival, there):
                connection.execute(delete(replacing).where(replacing.c.path == arrival.place))
                row = {
                    "path": arrival.place,
                    "instance": there[arrival.resource][0],
                    "digest": arrival.digest,
                }
                connection.execute(insert(replacing).values(row))


def _spare(connection: Connection, places: Sequence[str]) -> None:
    """Take files that are about to come back from the list of those to remove."""
    for start in range(0, len(places), BATCH):
        connection.execute(delete(doomed).where(doomed.c.path.in_(places[start : start + BATCH])))
