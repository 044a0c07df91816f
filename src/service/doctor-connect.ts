import type { Config } from '../config.ts';
import { asCdcError, CdcError } from '../core/errors.ts';
import type { Connector } from '../sources/kafka/connect-api.ts';
import { compareModes, compareProfile, isSchemaless } from './connector-profile.ts';
import { describeConnector, findConnectors, hasFailed, topicPrefix } from './connectors.ts';
import { count, type Findings } from './doctor-findings.ts';
import type { TopicSample } from './topic-samples.ts';

/** What Kafka Connect says of the connector. Returns those of the pipeline; none without `kafka.connect`. */
export async function diagnoseConnect(
  config: Config,
  samples: readonly TopicSample[],
  findings: Findings,
): Promise<Connector[]> {
  const { connect, topics } = config.kafka;
  if (connect === undefined) {
    findings.ok(
      'Kafka Connect',
      'not looked at: --connect URL (kafka.connect) shows how the connector is, and how it is set up',
    );
    return [];
  }
  const found = await findConnectors(
    connect,
    topics,
    samples.map(({ topic }) => topic.name),
  ).catch(error => {
    findings.fail('Kafka Connect', asCdcError(error));
    return undefined;
  });
  if (!found) return [];
  findings.ok('Kafka Connect', `version ${found.version} at ${found.address}`);
  for (const connector of found.own) {
    diagnoseState(connector, findings);
    diagnoseProfile(connector, findings);
    diagnoseModes(connector, config, samples, findings);
  }
  return found.own;
}

function diagnoseState(connector: Connector, findings: Findings): void {
  const status = describeConnector(connector);
  const subject = `connector ${status.name}`;
  const parts = [
    { what: 'it', state: status.state, reason: status.reason },
    ...status.tasks.map(({ id, state, reason }) => ({ what: `task ${id}`, state, reason })),
  ];
  if (hasFailed(status)) {
    for (const { what, reason } of parts.filter(({ state }) => state === 'FAILED'))
      findings.fail(
        subject,
        new CdcError('CONNECTOR_FAILED', `${what} FAILED: ${reason ?? 'Connect does not say why'}`),
      );
    return;
  }
  const others = parts.filter(({ state }) => state !== 'RUNNING');
  if (status.tasks.length === 0)
    findings.warn(
      subject,
      `${status.state}, without a task: no changes come`,
      'Look at the log of Kafka Connect; a stopped connector is resumed by PUT /connectors/NAME/resume.',
    );
  else if (others.length > 0)
    findings.warn(
      subject,
      `${others.map(({ what, state }) => `${what} is ${state}`).join(', ')}: no changes come`,
      'PUT /connectors/NAME/resume resumes one that is paused or stopped; a task without a worker waits for one.',
    );
  else
    findings.ok(
      subject,
      `RUNNING, ${count(status.tasks.length, 'task')}, topic.prefix ${topicPrefix(connector)}`,
    );
}

function diagnoseProfile({ name, config }: Connector, findings: Findings): void {
  const deviations = compareProfile(config);
  for (const { what, consequence, advised } of deviations)
    findings.warn(`connector ${name}`, `${what}: ${consequence}`, `Set ${advised} in the connector.`);
  if (deviations.length === 0)
    findings.ok(`connector ${name}`, 'set up as docs/cdc.md advises, or as well as that');
}

/** What `kafka.connector` says must be so, where messages do not say it. */
function diagnoseModes(
  connector: Connector,
  config: Config,
  samples: readonly TopicSample[],
  findings: Findings,
): void {
  const prefix = `${topicPrefix(connector)}.`;
  const tables = samples
    .filter(({ topic }) => topic.name.startsWith(prefix))
    .flatMap(sample => [...sample.tables.values()]);
  const schemaless =
    tables.length > 0 ? tables.some(table => table.schemaless) : isSchemaless(connector.config) !== false;
  const mismatches = compareModes(connector.config, config.kafka).filter(
    ({ saidBySchemas }) => schemaless || !saidBySchemas,
  );
  const subject = `connector ${connector.name}`;
  for (const { ours, theirs, hint } of mismatches)
    findings.fail(
      subject,
      new CdcError(
        'CONNECTOR_MISMATCH',
        `${theirs}, but ${ours}, and messages do not say it: values would be wrong, or refused`,
        { hint },
      ),
    );
  if (mismatches.length === 0)
    findings.ok(
      subject,
      schemaless
        ? 'kafka.connector says what the connector does'
        : 'messages carry schemas, which go before kafka.connector',
    );
}
