"""Asking the registry for a schema while an agent waits with its batch."""

import asyncio
import logging
from collections.abc import Callable

from pipelines.worker.background import Background
from pipelines.worker.stage import Stage
from schemas.errors import StoreUnavailable

log = logging.getLogger(__name__)

RETRY_S = 0.5


async def resolve(stage: Stage, schema_id: int, background: Background, *, wanted: Callable[[], bool]) -> None:
    """Ask until the registry answers, or the batch is not ``wanted`` any more; say once that it is away."""
    told = False
    while wanted():
        try:
            await background.in_thread(stage.resolve, schema_id)
        except StoreUnavailable as error:
            if not told:
                log.warning("waiting for the schema registry: %s", error)
                told = True
            await asyncio.sleep(RETRY_S)
            continue
        if told:
            log.warning("the schema registry is back")
        return
