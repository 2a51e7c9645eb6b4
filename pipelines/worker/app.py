"""The Faust app: membership, agents and timers. What they do is the engine's."""

import asyncio
import tempfile
from typing import Any

import faust
from faust.tables.manager import TableManager
from faust.types import TP

from connectors.kafka.connection import KafkaConnection
from connectors.kafka.credentials import faust_credentials
from connectors.kafka.transport import FetchSettings
from pipelines.worker.engine import Engine
from pipelines.worker.stage import Stage

TICK_S = 0.1  # alerts do not wait for it (Checkpoints.ring)
ADVANCE_S = 0.2
WATCH_S = 0.5
_BATCHES = 8  # how many fetched batches of a partition may wait for its agent


class _NoTables(TableManager):  # type: ignore[misc] # Faust's classes are untyped
    """Faust's table manager without its first second of sleep: there are no tables."""

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


class _Untouched(faust.Codec):  # type: ignore[misc] # as above
    """Hands a fetched batch on as it is."""

    def _loads(self, value: object) -> object:
        return value

    def _dumps(self, value: object) -> object:
        return value


def build_app(
    kafka: KafkaConnection,
    *,
    app_id: str,
    instance_id: str | None,
    session_timeout_s: float,
    fetch: FetchSettings,
    engine: Engine,
    stages: tuple[Stage, ...],
) -> Any:
    """Return the Faust app that lets ``engine`` work on the input topics of ``stages``."""
    servers = kafka.bootstrap_servers.replace(" ", "").split(",")
    app = faust.App(
        app_id,
        broker=[f"kafka://{s}" for s in servers],
        broker_consumer=[f"columnar://{s}" for s in servers],
        broker_credentials=faust_credentials(kafka),
        broker_session_timeout=session_timeout_s,
        broker_heartbeat_interval=min(1.0, session_timeout_s / 3),
        broker_rebalance_timeout=max(10.0, session_timeout_s),
        broker_request_timeout=max(40.0, session_timeout_s * 2),
        broker_max_poll_records=64,
        broker_check_crcs=fetch.check_crc,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=instance_id,
        consumer_max_fetch_size=fetch.partition_bytes,
        datadir=tempfile.gettempdir(),
        store="memory://",
        stream_buffer_maxsize=_BATCHES,
        stream_wait_empty=False,
        TableManager=_NoTables,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        worker_redirect_stdouts=False,
    )
    app.hooks = engine
    schema = faust.Schema(key_serializer="raw", value_serializer=_Untouched())
    for stage in stages:
        _add_agent(app, engine, stage, app.topic(*stage.inputs, key_type=None, value_type=None, schema=schema))

    async def on_revoked(_app: object, revoked: set[TP], **_: object) -> None:
        await engine.on_revoked(frozenset(revoked))

    async def on_assigned(_app: object, assigned: set[TP], **_: object) -> None:
        engine.on_assigned(frozenset(assigned), app.consumer)

    async def keep_time() -> None:
        """Checkpoints that are due, time that passes, batches that were lost."""
        loop = asyncio.get_running_loop()
        advance_s = watch_s = loop.time()
        while not app.should_stop:
            await asyncio.sleep(TICK_S)
            now_s = loop.time()
            try:
                if now_s - advance_s >= ADVANCE_S:
                    advance_s = now_s
                    engine.advance()
                if now_s - watch_s >= WATCH_S:
                    watch_s = now_s
                    engine.watch()
                engine.tick()
            except Exception as error:  # noqa: BLE001 - Faust would only log it
                engine.fail(error)
                return

    app.on_partitions_revoked.connect(on_revoked, weak=False)
    app.on_partitions_assigned.connect(on_assigned, weak=False)
    app.task(keep_time)
    return app


def _add_agent(app: Any, engine: Engine, stage: Stage, topic: Any) -> None:
    async def process(stream: Any) -> None:
        async for event in stream.events():
            await engine.process(event.value)

    app.agent(topic, name=f"pipelines.worker.{stage.name}")(process)
