"""Our errors. The command or the supervisor decides by class.

FrictionError
    SettingsError        do not start        a value is missing, unknown or out of range
    PolicyError          do not start        the policy cannot mean what it says
    MappingError         do not start        a mapping of columns to interactions cannot mean what it says
    InputUnreadable      do not start        a file of interactions cannot be read, or a row of it when all must be good
    SchemaIncompatible   do not start        the registered schema cannot be read with ours
    TopicMismatch        do not start        a topic is not what schemas/topics.yaml says
    DataDirHeld          do not start        another process owns the data directory
    EmbeddedUnavailable  do not start        an embedded part could not be installed or started
    StoreUnavailable     back off, go on     Kafka, the registry or ClickHouse did not answer in time
    UnknownSchema        dead letter         a schema id that the registry says it does not have
    StatementRejected    do not repeat       ClickHouse understood a statement and refused it
    StateLost            do not start        records or state that were needed are gone from Kafka
    TooManyDeadLetters   stop the worker     more records cannot be accepted than worker.dead_letter_limit allows
    InvariantBroken      stop the worker     a bug: an offset went back, a merge lost a row
"""


class FrictionError(Exception):
    """Base of our errors; its text is a whole paragraph for the person who runs the command."""


class SettingsError(FrictionError):
    """A setting is missing, unknown or out of range."""


class PolicyError(FrictionError):
    """The policy file is wrong; the text names file, line and key."""


class MappingError(FrictionError):
    """A mapping file is wrong; the text names file, key and what is allowed."""


class InputUnreadable(FrictionError):
    """A file of interactions cannot be read; the text names it, what was found in it and what to do."""


class SchemaIncompatible(FrictionError):
    """A registered schema cannot be read with ours, or ours with an older one."""


class TopicMismatch(FrictionError):
    """A topic of the broker differs from its declaration in schemas/topics.yaml."""


class DataDirHeld(FrictionError):
    """Another process owns the data directory."""


class EmbeddedUnavailable(FrictionError):
    """An embedded part (broker, ClickHouse engine) could not be installed or started."""


class StoreUnavailable(FrictionError):
    """Kafka, the registry or ClickHouse did not answer in time; it may do so later."""


class UnknownSchema(FrictionError):
    """The registry answered, and it has no schema of this id: final for this record, asked again for the next."""


class StatementRejected(FrictionError):
    """ClickHouse understood the statement and refused it; the same again fails again."""


class StateLost(FrictionError):
    """Records that were never processed, or the state itself, are gone from Kafka; the text says how to go on."""


class TooManyDeadLetters(FrictionError):
    """More records of a partition cannot be accepted than the limit allows; none past it has been put aside."""


class InvariantBroken(FrictionError):
    """A bug of ours: what must never happen has happened."""
