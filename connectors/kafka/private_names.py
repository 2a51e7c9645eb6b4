"""What we rely on of aiokafka and Faust that they do not promise, in one place.

pyproject.toml pins the minor versions in which it was seen; tests/unit/test_private_names.py fails when a name has
moved, and when one is used that is not here. Where it is used it is said why: transport.py has Faust's consumer give
batches, fetched.py has aiokafka's fetcher read columns, pipelines/worker/app.py takes a sleep and a codec out of Faust.
"""

from collections.abc import Mapping

RELIED_ON: Mapping[str, tuple[str, ...]] = {
    "aiokafka.consumer.consumer:AIOKafkaConsumer": (
        "_client", "_coordinator", "_fetch_max_bytes", "_fetch_max_wait_ms", "_fetch_min_bytes", "_fetcher",
        "_isolation_level", "_subscription",
    ),
    "aiokafka.consumer.fetcher:Fetcher": (
        "_client", "_fetch_max_wait_ms", "_fetch_min_bytes", "_prefetch_backoff", "_records",
    ),
    "aiokafka.consumer.fetcher:FetchResult": ("_partition_records",),
    "aiokafka.consumer.fetcher:PartitionRecords": ("_aborted_transactions", "next_fetch_offset"),
    "aiokafka.consumer.group_coordinator:GroupCoordinator": ("_do_heartbeat", "generation", "member_id"),
    "aiokafka.consumer.subscription_state:SubscriptionState": ("subscription",),
    "aiokafka.consumer.subscription_state:Assignment": ("active", "state_value", "tps"),
    "aiokafka.consumer.subscription_state:TopicPartitionState": ("_position",),
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread": (
        "_consumer", "_create_consumer", "call_thread", "on_thread_stop", "verify_event_path",
    ),
    "faust.transport.drivers.aiokafka:Consumer": (
        "_add_gap", "_commit", "_drain_messages", "_get_active_partitions", "_getmany", "_new_consumer_thread",
        "_read_offset", "_thread", "_unacked_messages", "ack", "consumer_stopped_errors", "flow_active",
        "getmany", "on_buffer_drop", "on_buffer_full", "perform_seek", "suspend_flow",
    ),
    "faust.serializers.codecs:Codec": ("_dumps", "_loads"),
    "faust.tables.manager:TableManager": ("_update_channels", "recovery"),
}  # fmt: skip
