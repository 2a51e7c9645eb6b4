"""The jars of Apache Kafka: fetched once, and each verified against kafka-jars.sha256 before it runs.

The lock has the format of ``sha256sum``, its paths are those of a Maven repository. To move to another
version change ``KAFKA`` and write the lock again: ``python -m connectors.kafka.jars > LOCK``.
"""

import hashlib
import os
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath

from connectors.kafka.maven import MavenRepositories, in_words
from schemas.errors import EmbeddedUnavailable

KAFKA = "org.apache.kafka:kafka_2.13:4.1.1"
_LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3"  # without it Kafka logs nothing at all

_CONNECTIONS = 4
_NAMES_TOLD = 3

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LockedJar:
    """One jar of the lock; ``path`` is where a Maven repository has it."""

    path: PurePosixPath
    sha256: str

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def coordinate(self) -> str:
        """``group:artifact:version``, which the path says."""
        *group, artifact, version, _ = self.path.parts
        return f"{'.'.join(group)}:{artifact}:{version}"


def locked_jars() -> tuple[LockedJar, ...]:
    """The jars that the committed lock names, in the order of the class path."""
    pairs = (line.split(maxsplit=1) for line in _lock_text().splitlines())
    return tuple(LockedJar(path=PurePosixPath(path), sha256=sha256) for sha256, path in pairs)


def _lock_text() -> str:
    return files("connectors.kafka").joinpath("kafka-jars.sha256").read_text("ascii")


def jar_cache() -> Path:
    """Folder of this user's downloaded jars; copied to another machine it can be given as ``jars``."""
    try:
        root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError as error:
        raise EmbeddedUnavailable(
            "Kafka's jars have no place to be kept: there is no home directory. Set HOME or XDG_CACHE_HOME."
        ) from error
    version = KAFKA.rpartition(":")[2]
    lock = hashlib.sha256(_lock_text().encode()).hexdigest()[:8]  # another lock, another folder
    return Path(root) / "friction-signals" / f"kafka-{version}-{lock}"


def verified_jars(folder: Path, lock: Sequence[LockedJar]) -> list[Path]:
    """Return the class path: the jars of ``lock``, which must be all that ``folder`` has, each with its sum.

    Raises:
        EmbeddedUnavailable: a jar is missing, changed, or not in the lock. Nothing may be run then.
    """
    if not folder.is_dir():
        raise EmbeddedUnavailable(f"the folder of Kafka's jars (`--jars`, embedded.jars) does not exist: {folder}")
    found = {path.name: path for path in folder.glob("*.jar")}
    missing = [jar.name for jar in lock if jar.name not in found]
    extra = sorted(found.keys() - {jar.name for jar in lock})
    changed = [jar.name for jar in lock if jar.name in found and _sha256(found[jar.name]) != jar.sha256]
    faults = [
        f"{what}: {_few(names)}"
        for what, names in (("missing", missing), ("not in the lock", extra), ("changed", changed))
        if names
    ]
    if faults:
        raise EmbeddedUnavailable(
            f"the jars in {folder} are not those of {KAFKA} that kafka-jars.sha256 names, so none of them is run "
            f"({'; '.join(faults)}). Put exactly the {len(lock)} locked jars there, or empty the folder and leave "
            "`--jars` out to have them downloaded."
        )
    return [found[jar.name] for jar in lock]


def kafka_jars(
    given: Path | None = None, *, progress: Progress = lambda _: None, timeout_s: float = 300.0
) -> list[Path]:
    """Return Kafka's class path, every jar verified; download what this user's cache does not have.

    ``given`` is a folder with the jars, for a machine without a network: nothing is downloaded then.

    Raises:
        EmbeddedUnavailable: a jar is not the locked one, or the download failed or took over ``timeout_s``.
    """
    lock = locked_jars()
    if given is not None:
        return verified_jars(given, lock)
    cache = jar_cache()
    wanted = [jar for jar in lock if not _is_whole(cache / jar.name, jar)]
    if wanted:
        progress(f"Downloading Apache Kafka, once: {len(wanted)} of {len(lock)} jars, to {cache}")
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".download-", dir=cache, ignore_cleanup_errors=True) as staging:
                for jar, path in _downloaded(wanted, Path(staging), progress, timeout_s):
                    path.replace(cache / jar.name)
        except OSError as error:
            raise EmbeddedUnavailable(
                f"Kafka's jars could not be written to {cache}: {error}. Make room or set XDG_CACHE_HOME to a "
                "folder that can be written, or give a folder with the jars (`--jars`)."
            ) from error
    return verified_jars(cache, lock)


def _few(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_TOLD
    return ", ".join(names[:_NAMES_TOLD]) + (f" and {more} more" if more > 0 else "")


def _is_whole(path: Path, jar: LockedJar) -> bool:
    return path.is_file() and _sha256(path) == jar.sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _downloaded(
    wanted: Sequence[LockedJar], staging: Path, progress: Progress, timeout_s: float
) -> Iterator[tuple[LockedJar, Path]]:
    """Yield each jar when it has arrived and is the locked one.

    A server that sends a byte now and then is never silent, so the threads are daemons that nobody joins:
    after ``timeout_s`` we go on without them.
    """
    todo: queue.SimpleQueue[LockedJar] = queue.SimpleQueue()
    for jar in wanted:
        todo.put(jar)
    done: queue.SimpleQueue[tuple[LockedJar, Path | Exception]] = queue.SimpleQueue()
    abandon = threading.Event()
    for _ in range(_CONNECTIONS):
        threading.Thread(target=_fetch_all, args=(todo, done, staging, abandon), daemon=True).start()
    deadline = time.monotonic() + timeout_s
    try:
        for count in range(1, len(wanted) + 1):
            try:
                jar, outcome = done.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise _refused(f"not finished after {timeout_s:g} s ({count - 1} of {len(wanted)} jars)") from None
            if isinstance(outcome, Exception):
                raise _refused(f"{jar.name}: {in_words(outcome)}") from outcome
            if _sha256(outcome) != jar.sha256:
                raise _refused(f"{jar.name} is not the jar that kafka-jars.sha256 names")
            if count % 10 == 0 or count == len(wanted):
                progress(f"Downloaded {count} of {len(wanted)} jars of Apache Kafka")
            yield jar, outcome
    finally:
        abandon.set()


def _fetch_all(
    todo: "queue.SimpleQueue[LockedJar]",
    done: "queue.SimpleQueue[tuple[LockedJar, Path | Exception]]",
    staging: Path,
    abandon: threading.Event,
) -> None:
    repositories: MavenRepositories | None = None
    while not abandon.is_set():
        try:
            jar = todo.get_nowait()
        except queue.Empty:
            return
        try:
            repositories = repositories or MavenRepositories()
            repositories.fetch(jar.path, staging / jar.name, abandon)
            done.put((jar, staging / jar.name))
        except Exception as error:  # noqa: BLE001 - libraries raise what they like; who waits for the jar decides
            done.put((jar, error))


def _refused(reason: str) -> EmbeddedUnavailable:
    return EmbeddedUnavailable(
        f"Apache Kafka could not be downloaded: {reason}. Start again to go on with what is missing; without a "
        f"network copy the folder {jar_cache()} from a machine that has it and name it with `--jars`; "
        "behind a mirror name it as `central` under [repositories] in jgo's configuration file."
    )


def _write_lock() -> None:
    """Print the lock of what jgo resolves and downloads now, to be reviewed before it is committed."""
    import jgo  # noqa: PLC0415 - as above

    # Resolved apart: together, the versions that one of them manages would replace those of the other.
    for artifact in [*jgo.resolve(KAFKA), jgo.resolve(_LOGGING)[0]]:
        path = PurePosixPath(artifact.component.path_prefix) / artifact.filename
        sys.stdout.write(f"{_sha256(artifact.resolve())}  {path}\n")


if __name__ == "__main__":
    _write_lock()
