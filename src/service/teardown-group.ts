import type { Config } from '../config.ts';
import { asCdcError, CdcError } from '../core/errors.ts';
import { Cluster } from '../sources/kafka/cluster.ts';
import { ConsumerGroup } from '../sources/kafka/consumer-group.ts';
import { count, shorten } from './doctor-findings.ts';
import type { OnStep } from './teardown.ts';

/**
 * Deletes the consumer group of the pipeline. Throws PIPELINE_RUNNING, before anything is deleted, while somebody is in it.
 * Returns why the brokers could not be asked: then the group is left, and nobody knows who is in it.
 */
export async function dropGroup(config: Config, onStep: OnStep): Promise<CdcError | undefined> {
  const { brokers, tls, sasl, group: name, groupGiven } = config.kafka;
  const object = `consumer group ${name}`;
  const cluster = new Cluster({ brokers, tls, sasl });
  const group = new ConsumerGroup(cluster, name);
  try {
    const found = await group.describe();
    if (!found) onStep({ object, outcome: 'absent' });
    else if (found.members.length > 0) throw isRunning(name, found.members);
    else if (groupGiven) onStep({ object, outcome: 'left', reason: 'kafka.group names it: it is yours' });
    else onStep({ object, outcome: (await group.delete()) ? 'dropped' : 'absent' });
  } catch (error) {
    const failure = asCdcError(error);
    if (failure.code === 'PIPELINE_RUNNING') throw failure;
    onStep({ object, outcome: 'left', reason: failure.message });
    return new CdcError(failure.code, `Kafka still has ${object}: ${failure.message}`, {
      cause: failure,
      hint: `${failure.hint} Run the same teardown again then. A group that nobody uses goes by itself after offsets.retention.minutes (7 days).`,
    });
  } finally {
    cluster.close();
  }
  onStep({
    object: 'connector, its slot and publication, topics',
    outcome: 'left',
    reason: 'wal-cdc did not make them',
  });
  return undefined;
}

function isRunning(name: string, members: readonly { client: string; host: string }[]): CdcError {
  const who = shorten(members.map(({ client, host }) => `${client} at ${host}`));
  return new CdcError(
    'PIPELINE_RUNNING',
    `consumer group ${name} has ${count(members.length, 'member')}: ${who}`,
    { hint: 'Stop every instance first. One that was killed counts for half a minute more.' },
  );
}
