"""The broker and the registry of a chaos run, and the directory in which it leaves its traces."""

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from connectors.kafka.broker import EmbeddedBroker
from connectors.registry.server import EmbeddedRegistry
from pipelines.cli.chaos.plan import Plan, Report
from pipelines.cli.chaos.run import Run
from schemas.errors import SettingsError
from schemas.topics import TopicNames


def run_on_embedded(plan: Plan, *, directory: Path | None, jars: Path | None, say: Callable[[str], None]) -> Report:
    """Run the plan on a broker of its own. Without ``directory``, nothing stays behind unless something is wrong.

    Raises:
        FrictionError: the run could not be done: no broker, a directory that is used already or cannot be written.
    """
    place = Path(tempfile.mkdtemp(prefix="friction-chaos-")) if directory is None else directory
    logs = _made(place)
    ok = False
    try:
        with ExitStack() as stack:
            stack.enter_context(_logged(logs / "chaos.log"))  # clients say a lot while the broker is away
            broker = EmbeddedBroker(place / "kafka", jars=jars, progress=say)
            stack.callback(broker.stop)
            kafka = broker.start()
            registry = EmbeddedRegistry(kafka)
            stack.callback(registry.stop)
            run = Run(plan, kafka, registry.start(), TopicNames(), logs, broker=broker, say=say)
            report = run.execute()
        ok = report.ok
        return report
    finally:
        if directory is None and ok:
            shutil.rmtree(place, ignore_errors=True)
        else:
            say(f"logs and data are in {place}")


def _made(place: Path) -> Path:
    """Make the directory of the run, and return that of its logs."""
    logs = place / "logs"
    try:
        place.mkdir(parents=True, exist_ok=True)
        if any(place.iterdir()):
            raise SettingsError(f"--data: {place} is not empty; a chaos run begins with nothing")
        logs.mkdir()
    except OSError as error:
        raise SettingsError(f"--data: {place} cannot be made: {error.strerror}") from error
    return logs


@contextmanager
def _logged(file: Path) -> Iterator[None]:
    """What libraries log goes into a file."""
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
