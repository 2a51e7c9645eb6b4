"""Single files of a Maven repository, over connections that trust what this machine trusts.

jgo tells which repositories there are. What it downloads with trusts certifi's list alone: a company's proxy with an
authority of its own would be refused, although pip works.
"""

import re
import ssl
import threading
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import requests

_ATTEMPTS = 3
_SILENCE_S = 15  # of the other side, before one request is given up
_CHUNK_BYTES = 64 * 1024


class NotTrusted(Exception):
    """A certificate is signed by nobody whom this machine trusts; the text has the remedy."""


class Abandoned(Exception):
    """The file is not wanted any more."""


class MavenRepositories:
    """Maven Central, unless the user's jgo configuration names another place for ``central``; then what it adds.

    What requests takes from the environment (proxies, REQUESTS_CA_BUNDLE, .netrc) holds. For one thread.
    """

    def __init__(self) -> None:
        from jgo.config import GlobalSettings  # noqa: PLC0415 - in the extra `embedded` only
        from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415 - as above
        from requests.utils import get_auth_from_url, urldefragauth  # noqa: PLC0415 - as above

        addresses: dict[str, str] = {"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories}
        self._session = _session()
        # an address with a password would be in the text of errors
        self._repositories = [(urldefragauth(one).rstrip("/"), get_auth_from_url(one)) for one in addresses.values()]

    def fetch(self, path: PurePosixPath, target: Path, abandon: threading.Event) -> None:
        """Write the file ``path`` of the first repository that has it to ``target``; try again if it breaks off.

        Raises:
            NotTrusted: of the repository, or of a proxy before it.
            Abandoned: ``abandon`` was set meanwhile.
            requests.RequestException: no repository has it, or one does not answer.
        """
        import requests  # noqa: PLC0415 - as above

        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._fetch(path, target, abandon)
            except requests.RequestException as error:
                if "CERTIFICATE_VERIFY_FAILED" in str(error):
                    raise NotTrusted(_remedy(error)) from error
                if attempt == _ATTEMPTS or _is_refusal(error) or abandon.wait(attempt):
                    raise
        raise AssertionError  # the last attempt returned or raised

    def _fetch(self, path: PurePosixPath, target: Path, abandon: threading.Event) -> None:
        for address, user in self._repositories:
            auth = user if any(user) else None
            with self._session.get(f"{address}/{path}", auth=auth, stream=True, timeout=_SILENCE_S) as response:
                if response.status_code == HTTPStatus.NOT_FOUND and address != self._repositories[-1][0]:
                    continue
                response.raise_for_status()
                with target.open("wb") as file:
                    for chunk in response.iter_content(_CHUNK_BYTES):
                        if abandon.is_set():
                            raise Abandoned
                        file.write(chunk)
                return


def in_words(error: Exception) -> str:
    """Say why ``fetch`` failed."""
    match error:
        case ModuleNotFoundError():
            return f"{error.name} is not installed (pip install 'friction-signals[embedded]')"
        case NotTrusted():
            return str(error)
        case _:
            network = re.findall(
                r"\[Errno -?\d+\] ([^'\"()]+)", str(error)
            )  # among the names of five libraries' classes
            request = getattr(error, "request", None)
            host = urlsplit(request.url or "").hostname if network and request is not None else None
            said = f"{type(error).__name__}: {network[-1].strip() if network else error}"
            return f"{said}, on the way to {host}" if host else said


def _session() -> "requests.Session":
    """Return a session that trusts the system's authorities besides those that requests trusts."""
    import requests  # noqa: PLC0415 - as above
    import truststore  # noqa: PLC0415 - as above
    from requests.adapters import HTTPAdapter  # noqa: PLC0415 - as above

    class SystemTrust(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
            super().init_poolmanager(*arguments, ssl_context=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT), **options)

        def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
            context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            return super().proxy_manager_for(*arguments, ssl_context=context, **options)

    session = requests.Session()
    session.mount("https://", SystemTrust())
    return session


def _is_refusal(error: "requests.RequestException") -> bool:
    """Whether the same request will have the same answer."""
    status = None if error.response is None else error.response.status_code
    return status is not None and status < HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.TOO_MANY_REQUESTS


def _remedy(error: "requests.RequestException") -> str:
    host = "" if error.request is None else f" of {urlsplit(str(error.request.url)).hostname}"
    return (
        f"the certificate{host} is signed by nobody whom this machine trusts. If a proxy of your company stands "
        "between, have its authority added to the system's certificates (update-ca-certificates, update-ca-trust), "
        "or name its PEM file with the variable SSL_CERT_FILE"
    )
