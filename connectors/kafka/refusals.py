"""Whether Kafka lets us in, and why not.

librdkafka tries again for ever: what its calls raise is a timeout, and the reason is told to its error callback alone.
"""

import re
import time

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ClusterMetadata

from connectors.kafka.connection import KafkaConnection
from schemas.errors import SettingsError, StoreUnavailable

_CREDENTIALS = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001 - documented, as the library writes its own codes
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.ILLEGAL_SASL_STATE,
    }
)
_LOOK_S = 0.5
_AROUND_THE_REASON = re.compile(r"^\w+://\S+?: |^\S+/bootstrap: | \(after \d+ms in state \w+.*\)$")


def refusal(kafka: KafkaConnection, error: KafkaError) -> SettingsError | None:
    """What a client heard, if the same settings will be refused again; None if it may pass."""
    where, said = f"Kafka at {kafka.bootstrap_servers}", reason(error)
    if error.code() in _CREDENTIALS:
        user = f"user {kafka.sasl_username!r}" if kafka.uses_sasl else "us"
        return SettingsError(
            f"{where} refuses {user}: {said}. Check kafka.sasl_username, kafka.sasl_password, kafka.sasl_mechanism "
            "and kafka.security_protocol."
        )
    if "certificate verify failed" in said:
        return SettingsError(
            f"The certificate of {where} is not trusted, or not made out to that name: {said}. Name the authority that "
            "signed it with kafka.ssl_ca_file, and the brokers as their certificates do."
        )
    if "SSL alert" in said and "certificate" in said:
        return SettingsError(
            f"{where} wants a certificate of ours that it trusts: {said}. "
            "Give it with kafka.ssl_certificate_file and kafka.ssl_key_file."
        )
    return None


def reason(error: KafkaError) -> str:
    """The words of an error, without the client's address and state around them."""
    return _AROUND_THE_REASON.sub("", error.str())


def cluster_metadata(kafka: KafkaConnection, *, timeout_s: float = 10.0) -> ClusterMetadata:
    """The brokers and topics of the cluster.

    Raises:
        SettingsError: it does not let us in, we do not trust it, or a TLS file cannot be used.
        StoreUnavailable: it did not answer within ``timeout_s``.
    """
    heard: list[KafkaError] = []
    try:
        client = AdminClient({**kafka.confluent(), "error_cb": heard.append, "log_level": 0})
    except KafkaException as error:
        raise SettingsError(f"The settings of kafka cannot be used: {error.args[0].str()}") from error
    deadline = time.monotonic() + timeout_s
    while True:
        left_s = deadline - time.monotonic()
        try:
            return client.list_topics(timeout=max(0.1, min(_LOOK_S, left_s)))
        except KafkaException as error:
            client.poll(0)  # delivers what was heard
            for one in heard:
                refused = refusal(kafka, one)
                if refused is not None:
                    raise refused from error
            if left_s <= 0:
                raise away(kafka, heard, timeout_s) from error


def away(kafka: KafkaConnection, heard: list[KafkaError], timeout_s: float) -> StoreUnavailable:
    """The error of a cluster that did not answer, with the most telling thing that its client heard."""
    telling = [one for one in heard if one.code() != KafkaError._ALL_BROKERS_DOWN]  # noqa: SLF001 - as above
    said = f" ({reason(telling[-1])})" if telling else ""
    return StoreUnavailable(
        f"Kafka at {kafka.bootstrap_servers} did not answer within {round(timeout_s, 1):g} s{said}. "
        f"Is it running, and are the address and the security protocol, {kafka.security_protocol}, right?"
    )
