/** What the pipeline does about an error: try again, stop one table, or stop as a whole. */
export type ErrorAction = 'retry' | 'stop-table' | 'stop';

interface ErrorKind {
  action: ErrorAction;
  /** Exit code of a command that ends with it: 1 unexpected, 2 usage or configuration, 3 not usable, 4 data differs. */
  exit: 1 | 2 | 3 | 4;
  /** One sentence for docs/errors.md. */
  about: string;
  /** What to do, unless the place that throws knows better. */
  hint: string;
}

const kinds = {
  CONFIG_INVALID: {
    action: 'stop',
    exit: 2,
    about: 'A setting is unknown, has a wrong value, or contradicts another one.',
    hint: 'Correct the setting that is named; "wal-cdc run --help" and docs/configuration.md list them all.',
  },
  PORT_TAKEN: {
    action: 'stop',
    exit: 2,
    about: 'The address to listen on is in use.',
    hint: 'Stop the other process or choose another port.',
  },
  FOLDER_TAKEN: {
    action: 'stop',
    exit: 2,
    about: 'Another process uses the folder of an embedded database.',
    hint: 'Stop the other process or choose another folder: with --dir, or for run by starting it in another one.',
  },
  EMBEDDED_UNAVAILABLE: {
    action: 'stop',
    exit: 3,
    about: 'An embedded database could not be started.',
    hint: 'Run "npm ci" again without --omit=optional, or point wal-cdc at servers of your own.',
  },
  SOURCE_UNREACHABLE: {
    action: 'retry',
    exit: 3,
    about: 'PostgreSQL does not answer, or the connection broke.',
    hint: 'Check host and port in postgres.url, and whether the server runs. A service that has started keeps trying.',
  },
  SOURCE_AUTH: {
    action: 'stop',
    exit: 3,
    about: 'PostgreSQL refused the user, the password or the database name.',
    hint: 'Check postgres.url (user, password, database), WAL_CDC_POSTGRES_PASSWORD, which goes before it, and the rules in pg_hba.conf.',
  },
  SOURCE_TLS: {
    action: 'stop',
    exit: 3,
    about: 'TLS with PostgreSQL could not be agreed on.',
    hint: 'Check sslmode in postgres.url and whether the server has ssl = on.',
  },
  SOURCE_VERSION: {
    action: 'stop',
    exit: 3,
    about: 'The PostgreSQL server is older than 14.',
    hint: 'Upgrade PostgreSQL to 14 or newer.',
  },
  WAL_LEVEL: {
    action: 'stop',
    exit: 3,
    about: 'wal_level is not logical.',
    hint: "As a superuser: ALTER SYSTEM SET wal_level = 'logical'; then restart PostgreSQL.",
  },
  SOURCE_STANDBY: {
    action: 'retry',
    exit: 3,
    about: 'The PostgreSQL server is a standby, which is read-only.',
    hint: 'Connect to the primary, or to an address that leads to it.',
  },
  SOURCE_PRIVILEGE: {
    action: 'stop',
    exit: 3,
    about: 'The role lacks a privilege that the pipeline needs.',
    hint: 'Grant the privilege that is named.',
  },
  NO_TABLES: {
    action: 'stop',
    exit: 2,
    about: 'A table pattern matches nothing, or no table is left to replicate.',
    hint: 'Check --tables and exclude against the tables that the role can see.',
  },
  SLOT_IN_USE: {
    action: 'retry',
    exit: 3,
    about: 'Another process streams from the replication slot.',
    hint: 'Stop the other consumer (its pid is named), or give this pipeline a slot or a name of its own.',
  },
  SLOT_LOST: {
    action: 'stop',
    exit: 3,
    about: 'PostgreSQL invalidated the slot: WAL that was needed is gone.',
    hint: 'Drop the slot with "wal-cdc teardown" and start again: the tables are copied afresh. Raise max_slot_wal_keep_size.',
  },
  SLOT_MISSING: {
    action: 'stop',
    exit: 3,
    about: 'The slot is gone although a checkpoint says that it existed.',
    hint: 'Changes since the checkpoint will not come: run "wal-cdc teardown" and start again, every table is copied afresh behind the live one.',
  },
  SLOT_MOVED: {
    action: 'stop',
    exit: 3,
    about: 'The slot is ahead of the checkpoint: changes between them will not come again.',
    hint: 'Something else consumed the slot: run "wal-cdc teardown" and start again, every table is copied afresh behind the live one.',
  },
  SLOT_UNUSABLE: {
    action: 'stop',
    exit: 3,
    about: 'The slot exists but is physical, of another plugin or of another database.',
    hint: 'Name another slot with --slot.',
  },
  PUBLICATION_MISSING: {
    action: 'stop',
    exit: 3,
    about: 'The publication does not exist and cannot be created, or was dropped while streaming.',
    hint: 'Create the publication as the owner of the tables.',
  },
  SOURCE_CHANGED: {
    action: 'stop',
    exit: 3,
    about: 'This is another PostgreSQL than the one of the checkpoint.',
    hint: 'If that is meant, "wal-cdc teardown --data" and start again.',
  },
  PROTOCOL: {
    action: 'stop',
    exit: 1,
    about: 'A message of the replication protocol is not what the protocol says.',
    hint: 'Please report this with the version of PostgreSQL.',
  },
  TUPLE_FORMAT: {
    action: 'retry',
    exit: 1,
    about: 'A column came in a binary form that is not decoded; the stream is opened again with text.',
    hint: 'Nothing to do.',
  },
  POSITION_RANGE: {
    action: 'stop',
    exit: 1,
    about: 'A WAL position or transaction is larger than versions can hold.',
    hint: 'No PostgreSQL reaches this in practice; please report it.',
  },
  BROKER_UNREACHABLE: {
    action: 'retry',
    exit: 3,
    about: 'No Kafka broker answers, or a connection broke.',
    hint: 'Check kafka.brokers and the addresses that the brokers advertise. A broker that wants TLS or SASL also ends connections that come without: see kafka.tls and kafka.sasl. A service that has started keeps trying.',
  },
  BROKER_AUTH: {
    action: 'stop',
    exit: 3,
    about: 'Kafka refused the user, the password, the token or the SASL mechanism.',
    hint: 'Check kafka.sasl, and WAL_CDC_KAFKA_SASL_PASSWORD, which goes before it.',
  },
  BROKER_TLS: {
    action: 'stop',
    exit: 3,
    about: 'TLS with a Kafka broker could not be agreed on.',
    hint: 'Check kafka.tls: enabled as the listener has it, rootCert of the authority that signed the certificate of the broker, cert and key if the broker asks for them.',
  },
  BROKER_PRIVILEGE: {
    action: 'stop',
    exit: 3,
    about: 'The Kafka user may not read a topic or use the consumer group.',
    hint: 'Allow READ and DESCRIBE on the topics, and READ on the consumer group, to the user.',
  },
  BROKER_VERSION: {
    action: 'stop',
    exit: 3,
    about: 'The Kafka broker is too old, or lacks a part of the protocol.',
    hint: 'Use Kafka 1.0 or newer, or a broker that speaks its protocol.',
  },
  BROKER_PROTOCOL: {
    action: 'stop',
    exit: 1,
    about: "An answer of a Kafka broker, or a record, is not what Kafka's protocol says.",
    hint: 'Check that kafka.brokers names Kafka brokers; otherwise please report this with the version of the broker.',
  },
  GROUP_CONFLICT: {
    action: 'stop',
    exit: 3,
    about: 'The consumer group is used by another kind of consumer, or does not accept this one.',
    hint: 'Give this pipeline a group of its own with kafka.group.',
  },
  OFFSET_LOST: {
    action: 'stop',
    exit: 3,
    about: 'Kafka no longer has messages that were not read yet, or has others in their place.',
    hint: 'Changes are missing: run "wal-cdc teardown --data" and start again, or let the connector take a new snapshot. Raise retention.ms and retention.bytes of the topics.',
  },
  TOPIC_RECREATED: {
    action: 'retry',
    exit: 3,
    about: 'A topic was deleted and created again.',
    hint: 'The new topic is read from its beginning; rows of it go before those of the old one.',
  },
  NO_TOPICS: {
    action: 'stop',
    exit: 3,
    about: 'No topic matches kafka.topics: there is nothing to read.',
    hint: 'Check kafka.topics (regular expressions of whole names) against the topics of the brokers. A topic is made with the first row of its table; a service that runs takes it in within half a minute.',
  },
  CONNECT_UNREACHABLE: {
    action: 'stop',
    exit: 3,
    about: 'Kafka Connect does not answer, or something else answers there.',
    hint: 'Check kafka.connect (--connect): the address of the REST API of a worker. It is asked by doctor and status only.',
  },
  CONNECT_AUTH: {
    action: 'stop',
    exit: 3,
    about: 'Kafka Connect refused the user or the password.',
    hint: 'Check user and password in kafka.connect.',
  },
  CONNECTOR_MISSING: {
    action: 'stop',
    exit: 3,
    about: 'Kafka Connect has no Debezium connector that writes the topics of the pipeline.',
    hint: 'Make the connector, or check topic.prefix of the connector against kafka.topics.',
  },
  CONNECTOR_FAILED: {
    action: 'stop',
    exit: 3,
    about: 'The connector, or its task, has failed: no changes come.',
    hint: 'Remove the cause, then restart it: POST /connectors/NAME/restart?includeTasks=true&onlyFailed=true at Kafka Connect. Its log has the whole trace.',
  },
  CONNECTOR_MISMATCH: {
    action: 'stop',
    exit: 3,
    about:
      'The connector writes values in another form than kafka.connector says, and the messages do not tell.',
    hint: 'Set kafka.connector as the connector is set up, before anything is read.',
  },
  REGISTRY_UNREACHABLE: {
    action: 'retry',
    exit: 3,
    about: 'The schema registry does not answer, or answers with an error of its own.',
    hint: 'Check kafka.registry, and whether the registry runs. A service that has started keeps trying and loses nothing.',
  },
  REGISTRY_AUTH: {
    action: 'stop',
    exit: 3,
    about: 'The schema registry refused the user or the password.',
    hint: 'Check user and password in kafka.registry.',
  },
  SINK_UNREACHABLE: {
    action: 'retry',
    exit: 3,
    about: 'ClickHouse does not answer, or the connection broke.',
    hint: 'Check host and port in clickhouse.url, and whether the server runs. A service that has started keeps trying and loses nothing.',
  },
  SINK_AUTH: {
    action: 'stop',
    exit: 3,
    about: 'ClickHouse refused the user or the password.',
    hint: 'Check user and password in clickhouse.url, and WAL_CDC_CLICKHOUSE_PASSWORD, which goes before them.',
  },
  SINK_PRIVILEGE: {
    action: 'stop',
    exit: 3,
    about: 'The ClickHouse user lacks a grant.',
    hint: 'Grant what is named to the user in clickhouse.url.',
  },
  SINK_VERSION: {
    action: 'stop',
    exit: 3,
    about: 'The ClickHouse server is older than 26.3.',
    hint: 'Upgrade ClickHouse to 26.3 or newer.',
  },
  SINK_FULL: {
    action: 'retry',
    exit: 3,
    about: 'ClickHouse has no disk space or memory left, or refuses inserts for too many parts.',
    hint: 'Free or add resources; the service keeps trying and loses nothing, PostgreSQL keeps the WAL meanwhile.',
  },
  SINK_QUERY: {
    action: 'stop',
    exit: 1,
    about: 'ClickHouse refused a statement.',
    hint: 'See the message of ClickHouse.',
  },
  TABLE_MISMATCH: {
    action: 'stop-table',
    exit: 3,
    about: 'The ClickHouse table does not fit the PostgreSQL table, or cannot be made as settings want it.',
    hint: 'Alter or drop the ClickHouse table ("wal-cdc plan" prints the DDL that fits), or exclude the table.',
  },
  TABLE_NOT_EMPTY: {
    action: 'stop-table',
    exit: 3,
    about: 'The ClickHouse table has rows that no checkpoint explains.',
    hint: 'Let it be copied (without --snapshot none), empty it, or pass --keep-rows when these rows are meant.',
  },
  TABLE_TAKEN: {
    action: 'stop-table',
    exit: 3,
    about:
      'Something else writes the table, as generated rows and those of a source do not go together, or has the name of the one that a copy of it needs.',
    hint: 'Choose another clickhouse.database for one of the two, or tear the other pipeline down with "wal-cdc teardown --data".',
  },
  TABLE_UNREADABLE: {
    action: 'stop-table',
    exit: 3,
    about: 'The role may not read the table, or row security would hide rows from it.',
    hint: 'GRANT SELECT on the table, and USAGE on its schema, to the role; for row security, use a role with BYPASSRLS. The service that runs takes it in within seconds.',
  },
  TABLE_UNKNOWN: {
    action: 'stop-table',
    exit: 3,
    about: 'Nothing says of what types the columns of a topic are.',
    hint: 'Set postgres.url, make the ClickHouse table yourself, or let the connector write schemas.',
  },
  TABLE_UNSUPPORTED: {
    action: 'stop-table',
    exit: 3,
    about: 'The table cannot be replicated as it is.',
    hint: 'See the message; exclude the table or change it.',
  },
  TYPE_MISMATCH: {
    action: 'stop-table',
    exit: 3,
    about: 'A PostgreSQL type cannot be stored in the ClickHouse type that is asked for.',
    hint: 'Choose another type under columns: in the configuration; docs/types.md lists what fits.',
  },
  VALUE_INVALID: {
    action: 'stop-table',
    exit: 4,
    about: 'ClickHouse cannot hold a value exactly.',
    hint: 'Set columns.<table>.<column>.onInvalid to null, clamp or string, or choose a wider type; then "wal-cdc resync" the table. With tableOptions.<table>.onError: dead-letter such rows are set aside instead.',
  },
  VALUE_MISSING: {
    action: 'stop-table',
    exit: 4,
    about:
      'An update leaves out a large value that did not change (TOAST), ClickHouse does not have it, and no source can be asked.',
    hint: 'Set postgres.url, so that such values can be looked up; messages of before were lost, or not read. With tableOptions.<table>.onError: dead-letter such rows are set aside instead.',
  },
  MESSAGE_INVALID: {
    action: 'stop',
    exit: 4,
    about: 'A message of a topic cannot be read as a change of a table.',
    hint: 'Look at the message, and at what writes the topic.',
  },
  LETTER_UNKNOWN: {
    action: 'stop',
    exit: 2,
    about: 'No dead letter of the pipeline has this ID.',
    hint: '"wal-cdc dead-letters list" shows those that are open; the first letters of an ID suffice where they are of one only.',
  },
  LETTER_OUTDATED: {
    action: 'stop',
    exit: 4,
    about: 'A dead letter cannot be written as ClickHouse has the table now.',
    hint: 'See the message; "wal-cdc resync" copies the table afresh and settles its letters.',
  },
  KEYLESS_CHANGE: {
    action: 'stop-table',
    exit: 4,
    about:
      'A table without a key, or ordered by more than its key, had an UPDATE or DELETE, which an append-only table cannot follow.',
    hint: 'Add a primary key to the table, then "wal-cdc resync" it.',
  },
  SCHEMA_CHANGED: {
    action: 'stop-table',
    exit: 4,
    about: 'The PostgreSQL table changed in a way that needs a new copy.',
    hint: 'Run "wal-cdc resync" for the table that is named.',
  },
  TABLE_RESUMED: {
    action: 'retry',
    exit: 1,
    about: 'A stopped table was brought back while an instance of mode cdc left its changes out.',
    hint: 'Nothing to do: what was left out is read once more.',
  },
  COPY_AFRESH: {
    action: 'retry',
    exit: 1,
    about:
      'The service connects again to copy tables afresh, as it was asked to, or because changes of them are missing.',
    hint: 'Nothing to do.',
  },
  COPY_BROKEN: {
    action: 'retry',
    exit: 1,
    about: 'The copy of a table was interrupted.',
    hint: 'It is continued where it stopped.',
  },
  PIPELINE_RUNNING: {
    action: 'stop',
    exit: 3,
    about: 'The service of the pipeline runs, and would make again what is dropped.',
    hint: 'Stop the service first.',
  },
  MODE_SWITCH: {
    action: 'stop',
    exit: 3,
    about: 'A pipeline cannot go over to another mode as things are, or has gone over to one meanwhile.',
    hint: 'Follow "Switching modes" in docs/operations.md.',
  },
  SERVICE_STUCK: {
    action: 'stop',
    exit: 3,
    about: 'The service that streams from the slot saves no progress that a command waits for.',
    hint: 'Look at its log and at "wal-cdc status"; if another consumer holds the slot, give this pipeline one of its own.',
  },
  VERIFY_DIFFERS: {
    action: 'stop',
    exit: 4,
    about: 'Source and ClickHouse differ.',
    hint: 'The keys are named above; "wal-cdc resync" copies a table afresh.',
  },
  UNEXPECTED: {
    action: 'stop',
    exit: 1,
    about: 'A fault in wal-cdc itself.',
    hint: 'Please report this with the log.',
  },
} satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof kinds;

/** Errors that are the fault of one row, whatever its table is like. */
const rowErrors: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['VALUE_INVALID', 'VALUE_MISSING']);
export const errorKinds: Readonly<Record<ErrorCode, ErrorKind>> = kinds;

/** Every failure that a user may see. `code` decides what happens (see `errorKinds`); `hint` says what to do. */
export class CdcError extends Error {
  readonly code: ErrorCode;
  readonly hint: string;
  /** `schema.table` when one table is concerned. */
  readonly table: string | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; hint?: string; table?: string } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = 'CdcError';
    this.code = code;
    this.hint = options.hint ?? kinds[code].hint;
    this.table = options.table;
  }

  get action(): ErrorAction {
    return kinds[this.code].action;
  }

  get exitCode(): number {
    return kinds[this.code].exit;
  }
}

/** Built without a stack trace: for what may be thrown once per row or message. */
export class StacklessError extends Error {
  constructor(message: string) {
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(message);
    Error.stackTraceLimit = stackTraceLimit;
    this.name = new.target.name;
  }
}

/** Makes an error without a stack trace: for what may happen once per row. */
export function withoutStack<E extends Error>(make: () => E): E {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return make();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** Whether an error says that one row cannot be written, though its table can: such a row may go to the dead letters. */
export function isFaultOfRow(error: unknown): boolean {
  return error instanceof CdcError && rowErrors.has(error.code);
}

/** Any thrown value as a `CdcError`; what is not one is a fault of ours (`UNEXPECTED`). */
export function asCdcError(error: unknown): CdcError {
  if (error instanceof CdcError) return error;
  const message = error instanceof Error ? error.message || error.name : String(error);
  return new CdcError('UNEXPECTED', message, { cause: error });
}
