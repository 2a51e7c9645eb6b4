"""The Prometheus endpoint of a process."""

from prometheus_client import start_http_server

from pipelines.worker.settings import MetricsOptions
from schemas.errors import SettingsError


def start_exporter(options: MetricsOptions) -> None:
    """Serve this process's metrics at http://host:port/metrics from a thread, or nothing without a port.

    Raises:
        SettingsError: the address cannot be used.
    """
    if options.port is None:
        return
    try:
        start_http_server(options.port, options.host)
    except OSError as error:
        raise SettingsError(
            f"metrics cannot be served at {options.host}:{options.port}: {error.strerror or error}; "
            "choose another metrics.port, or off"
        ) from error
