"""Save a registration that was made in the viewer."""

from __future__ import annotations

import asyncio

from dicomdock.dicom.resource import Resource
from dicomdock.errors import DicomdockError
from dicomdock.imaging.registration import registration_to_dicom
from dicomdock.viewer.features.save.logic import SavingLogic
from dicomdock.viewer.notifications import Notifications
from dicomdock.viewer.registrations import Registrations


async def save_registration(
    registrations: Registrations,
    fixed: Resource,
    moving: Resource,
    saving: SavingLogic,
    notifications: Notifications,
) -> bool:
    """Store the registration that is not saved as Spatial Registration; return whether it was.

    Parameters
    ----------
    fixed, moving : the series that it joins; it is stored in the study of the first.
    """
    made = registrations.unsaved
    if made is None:
        return False

    def write() -> None:
        headers = saving.headers_of(fixed), saving.headers_of(moving)
        saving.store([registration_to_dicom(made, *headers)])

    try:
        await asyncio.to_thread(write)
    except (DicomdockError, OSError) as error:
        notifications.error(f"The registration was not saved: {error}")
        return False
    saving.series.refresh()
    if registrations.unsaved is made:  # else the user has gone on meanwhile
        registrations.propose(None)
    notifications.info("The registration is saved.")
    return True
