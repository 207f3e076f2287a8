"""Deleting studies, series and instances.

References
----------
PS3.18 has no delete transaction; the form is the one that origin servers have agreed on.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from dicomdock.origin.context import Origin, resource_of
from dicomdock.origin.responses import in_thread


async def delete(origin: Origin, request: Request) -> Response:
    """Delete what the path names: 204, or 404 where it is not there."""
    resource = resource_of(request)
    await in_thread(lambda: origin.source().delete(resource))
    return Response(status_code=204)
