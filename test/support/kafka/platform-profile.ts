import type { PostgresVersion } from '../postgres.ts';
import type { ConnectorConfig } from './connect.ts';

export interface ConnectorSource {
  /** Of the database, with the user that the connector takes. */
  postgresUrl: string;
  /** First part of the names of topics: `PREFIX.SCHEMA.TABLE`. */
  topicPrefix: string;
  slot: string;
  publication: string;
  /** Default 18. */
  postgresVersion?: PostgresVersion;
}

/**
 * The settings with which Debezium's messages carry every value exactly, and the fastest: what the documentation advises.
 * The publication has to be there.
 */
export function platformProfile(source: ConnectorSource): ConnectorConfig {
  return {
    ...connection(source),
    ...jsonConverters({ schemas: false }),
    'publication.autocreate.mode': 'disabled',
    'extended.headers.enabled': 'false',
    'poll.interval.ms': '10',
    'decimal.handling.mode': 'string',
    'time.precision.mode': 'isostring',
    'interval.handling.mode': 'string',
    'hstore.handling.mode': 'json',
    'binary.handling.mode': 'base64',
    'include.unknown.datatypes': 'true',
    'tombstones.on.delete': 'false',
    'skipped.operations': 'none',
    'heartbeat.interval.ms': '10000',
    ...(source.postgresVersion === 15 ? {} : { 'slot.failover': 'true' }),
  };
}

/** Nothing but what a connector cannot do without; messages are `{schema, payload}` then. */
export function debeziumDefaults(source: ConnectorSource): ConnectorConfig {
  return connection(source);
}

/** Converters of keys and values, over those of a profile. */
export function jsonConverters({ schemas }: { schemas: boolean }): ConnectorConfig {
  const converter = 'org.apache.kafka.connect.json.JsonConverter';
  return Object.fromEntries(
    ['key', 'value'].flatMap(part => [
      [`${part}.converter`, converter],
      [`${part}.converter.schemas.enable`, String(schemas)],
      // Else a NULL in a column with a default comes as the default.
      [`${part}.converter.replace.null.with.default`, 'false'],
    ]),
  );
}

/**
 * Avro as Confluent's converter writes it: a zero byte, the id of the schema in four bytes, the record.
 * @param registryUrl of Apicurio's own API
 */
export function avroConverters(registryUrl: string): ConnectorConfig {
  return {
    ...Object.fromEntries(
      ['key', 'value'].flatMap(part => [
        [`${part}.converter`, 'io.apicurio.registry.utils.converter.AvroConverter'],
        [`${part}.converter.apicurio.registry.url`, registryUrl],
        [`${part}.converter.apicurio.registry.auto-register`, 'true'],
        [`${part}.converter.apicurio.registry.find-latest`, 'true'],
        [`${part}.converter.apicurio.registry.as-confluent`, 'true'],
        [`${part}.converter.apicurio.registry.use-id`, 'contentId'],
        [`${part}.converter.apicurio.registry.headers.enabled`, 'false'],
      ]),
    ),
    'schema.name.adjustment.mode': 'avro',
  };
}

/** What says which database it is. */
export function connection(source: ConnectorSource): ConnectorConfig {
  const url = new URL(source.postgresUrl);
  return {
    'connector.class': 'io.debezium.connector.postgresql.PostgresConnector',
    'tasks.max': '1',
    'plugin.name': 'pgoutput',
    'database.hostname': url.hostname,
    'database.port': url.port || '5432',
    'database.user': decodeURIComponent(url.username),
    'database.password': decodeURIComponent(url.password),
    'database.dbname': decodeURIComponent(url.pathname.slice(1)),
    'topic.prefix': source.topicPrefix,
    'slot.name': source.slot,
    'publication.name': source.publication,
  };
}
