"""TLS for our clients, from the files that settings name."""

import ssl

from schemas.errors import SettingsError


def client_context(ca_file: str | None, *, setting: str) -> ssl.SSLContext:
    """Context of a client that trusts the authorities of ``ca_file``, or without one those of the system.

    Raises:
        SettingsError: the file is none of certificates; the text names ``setting``.
    """
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise SettingsError(f"{setting}: {ca_file} holds no certificates: {_reason(error)}") from error


def present(context: ssl.SSLContext, certificate_file: str, key_file: str, password: str, *, settings: str) -> None:
    """Let ``context`` show a certificate of ours. ``password``: of the key, empty if it has none.

    Raises:
        SettingsError: the files cannot be used; the text names ``settings``.
    """
    try:
        context.load_cert_chain(certificate_file, key_file, password)
    except OSError as error:
        raise SettingsError(
            f"{settings}: {certificate_file} and {key_file} are no certificate and its key that the password opens: "
            f"{_reason(error)}"
        ) from error


def _reason(error: OSError) -> str:
    return str(error.reason or error) if isinstance(error, ssl.SSLError) else str(error.strerror or error)
