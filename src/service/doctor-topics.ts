import { CdcError } from '../core/errors.ts';
import { formatCount } from '../observe/format-status.ts';
import type { SavedOffset } from '../sinks/clickhouse/control-tables.ts';
import { count, type Findings, shorten } from './doctor-findings.ts';
import type { SampledTable, TopicSample, UnreadableMessage } from './topic-samples.ts';

/** What the newest messages of each topic are, as `run` reads them. */
export function diagnoseTopics(
  samples: readonly TopicSample[],
  saved: readonly SavedOffset[],
  findings: Findings,
): void {
  const failures = new Set<string>();
  for (const sample of samples) {
    const { failure } = sample;
    const subject = `topic ${sample.topic.name}`;
    diagnoseMessages(subject, sample, saved, findings);
    if (failure && !failures.has(failure.message)) {
      failures.add(failure.message);
      findings.fail(subject, failure);
    }
    for (const table of sample.tables.values()) diagnoseFlattened(subject, table, findings);
    diagnoseKeys(subject, sample, findings);
  }
}

function diagnoseMessages(
  subject: string,
  sample: TopicSample,
  saved: readonly SavedOffset[],
  findings: Findings,
): void {
  const { topic, ranges, messages, formats, unreadable, tables, failure } = sample;
  const size = `${count(topic.partitions.length, 'partition')}, ${formatSize(ranges)}`;
  if (messages === 0) {
    findings.ok(subject, `${size}: nothing can be said of its messages yet`);
    return;
  }
  const what = [...formats].join(' and ') || 'no changes of rows among those looked at';
  const names = tables.size > 0 ? `; ${[...tables.keys()].join(', ')}` : '';
  const readable = messages - unreadable.length;
  if (readable > 0 && !failure)
    findings.ok(subject, `${size}: ${what}${names}; ${describeLag(topic.name, ranges, saved)}`);
  if (unreadable.length === 0) return;
  const text = `${unreadable.length} of the ${messages} messages looked at cannot be read: ${listUnreadable(topic.name, unreadable)}`;
  if (readable === 0)
    findings.fail(
      subject,
      new CdcError('MESSAGE_INVALID', text, {
        hint: 'Look at what writes the topic: docs/cdc.md, "The connector", says what messages must be. Or leave it out of kafka.topics.',
      }),
    );
  else
    findings.warn(
      subject,
      `${text}; such messages go to the dead letters`,
      'Find out what wrote them; nothing but the connector should write to the topic.',
    );
}

function formatSize(ranges: TopicSample['ranges']): string {
  const size = ranges.reduce((sum, { start, end }) => sum + end - start, 0);
  return size === 0 ? 'empty' : `about ${formatCount(size)} ${size === 1 ? 'message' : 'messages'}`;
}

function describeLag(topic: string, ranges: TopicSample['ranges'], saved: readonly SavedOffset[]): string {
  const offsets = new Map(
    saved.filter(offset => offset.topic === topic).map(({ partition, offset }) => [partition, offset]),
  );
  if (offsets.size === 0) return 'not read yet';
  const lag = ranges.reduce(
    (sum, { partition, start, end }) => sum + Math.max(0, end - (offsets.get(partition) ?? start)),
    0,
  );
  return lag === 0 ? 'read to its end' : `${formatCount(lag)} messages to read`;
}

function listUnreadable(topic: string, unreadable: readonly UnreadableMessage[]): string {
  const reasons = new Map<string, string[]>();
  for (const { partition, offset, reason } of unreadable) {
    const places = reasons.get(reason) ?? [];
    reasons.set(reason, places);
    places.push(`${topic}/${partition}/${offset}`);
  }
  return [...reasons].map(([reason, places]) => `${shorten(places)}: ${reason}`).join('; ');
}

const withoutField: Record<string, string> = {
  sequence: 'changes are ordered by their LSN alone, and do not compare with those of mode wal',
  schema: 'schemas and tables are taken from the names of topics',
  table: 'schemas and tables are taken from the names of topics',
  'source.ts_us': '_committed_at is the time of reading',
};

function diagnoseFlattened(subject: string, { flattened, lacking }: SampledTable, findings: Findings): void {
  if (!flattened || lacking.size === 0) return;
  const consequences = new Set([...lacking].map(field => withoutField[field]));
  findings.warn(
    subject,
    `flattened rows lack ${[...lacking].join(', ')}: ${[...consequences].join('; ')}`,
    'Set add.fields=op,lsn,sequence,source.ts_us,schema,table in the transform ExtractNewRecordState, or leave it out.',
  );
}

/** More partitions than one are fine, as long as all changes of a row are in the same. */
function diagnoseKeys(subject: string, { topic, tables, spread }: TopicSample, findings: Findings): void {
  const keyless = [...tables].filter(([, table]) => table.withoutKey > 0);
  if (keyless.length > 0 && topic.partitions.length > 1)
    findings.warn(
      subject,
      `messages of ${keyless.map(([name]) => name).join(', ')} have no key, in ${topic.partitions.length} partitions: changes of a row come from any of them, and only their LSNs order them`,
      'Give the table a primary key, or set message.key.columns in the connector; or make the topic with one partition.',
    );
  if (spread)
    findings.warn(
      subject,
      `messages of one key are in partitions ${spread.partitions.join(' and ')}: changes of a row may come out of order, and only their LSNs order them`,
      'That is so after partitions were added, until the old ones are read; else look at the partitioner of the connector.',
    );
}
