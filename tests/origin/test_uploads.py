"""Uploads whose work ends before their body does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from dicomdock.origin.responses import GATHERED
from dicomdock.origin.uploads import Uploads


def test_work_that_ends_early_ends_the_upload_however_much_is_still_to_come() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0)
            yield bytes(GATHERED // 4)

    def first(blocks: Iterator[bytes]) -> int:
        return len(next(blocks))

    async def several() -> list[int]:
        uploads = Uploads()
        return [await uploads.store(endless(), first) for _ in range(10)]

    async def bounded() -> list[int]:
        return await asyncio.wait_for(several(), 120)

    assert asyncio.run(bounded()) == [GATHERED] * 10
