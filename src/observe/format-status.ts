import type { PartitionStatus, StatusSnapshot, TableStatus } from './status.ts';

/** The text of the `status` command: several lines, the last one without a line break. */
export function formatStatus(status: StatusSnapshot): string {
  const lines = [
    `pipeline    ${status.pipeline} (${status.mode}), ${status.phase}, since ${status.startedAt}`,
    `freshness   ${formatMs(status.freshnessMs)}${isLate(status) ? `, above the objective of ${formatMs(status.freshnessObjectiveMs!)}` : ''}`,
    `latency     ${formatLatency(status)} in the last minute`,
    `rows        ${formatCount(status.rowsTotal)}, ${formatCount(status.rowsPerSecond)} per second`,
  ];
  if (status.position !== undefined) {
    const lag =
      status.lagBytes === undefined
        ? ''
        : `, ${formatBytes(status.lagBytes)} behind ${status.sourcePosition ?? 'the source'}`;
    lines.push(`position    ${status.position}${lag}; checkpoint ${status.checkpoint ?? 'none yet'}`);
  }
  if (status.partitions) lines.push(`offsets     ${formatOffsets(status.partitions)}`);
  if (status.retainedWalBytes !== undefined)
    lines.push(`slot        ${formatRetainedWal(status.retainedWalBytes, status.safeWalBytes)}`);
  if (status.deadLetters > 0) lines.push(`set aside   ${formatDeadLetters(status.deadLetters)}`);
  if (status.problem)
    lines.push(
      '',
      `problem     ${status.problem.message} (${status.problem.code}, since ${status.problem.since})`,
      `            ${status.problem.hint}`,
    );
  if (status.tables.length > 0) lines.push('', ...formatTables(status.tables));
  if (status.partitions?.length) lines.push('', ...formatPartitions(status.partitions));
  return lines.join('\n');
}

/** How far behind the topics, on the whole. */
export function formatOffsets(partitions: readonly PartitionStatus[]): string {
  const topics = new Set(partitions.map(({ topic }) => topic)).size;
  const what = `${plural(partitions.length, 'partition')} of ${plural(topics, 'topic')}`;
  const known = partitions.filter(({ lag }) => lag !== undefined);
  if (known.length === 0) return what;
  const lag = known.reduce((sum, partition) => sum + partition.lag!, 0);
  return `${what}, ${lag === 0 ? 'read to their ends' : `${plural(lag, 'message')} behind`}`;
}

function plural(n: number, noun: string): string {
  return `${formatCount(n)} ${noun}${n === 1 ? '' : 's'}`;
}

/** A header, and a line for each partition: those that are the furthest behind come first. */
export function formatPartitions(partitions: readonly PartitionStatus[]): string[] {
  const sorted = [...partitions].sort((a, b) => (b.lag ?? -1) - (a.lag ?? -1));
  const shown = sorted.slice(0, mostPartitions);
  const cells = shown.map(({ topic, partition, offset, lag }) => [
    `${topic}/${partition}`,
    String(offset),
    lag === undefined ? 'unknown' : formatCount(lag),
  ]);
  const rest = sorted.length - shown.length;
  return [
    ...formatColumns(['PARTITION', 'NEXT OFFSET', 'LAG'], cells, 1),
    ...(rest > 0 ? [`and ${rest} more, which --json shows`] : []),
  ];
}

const mostPartitions = 30;

/** How many are open, and what shows them. */
export function formatDeadLetters(open: number): string {
  return `${formatCount(open)} dead ${open === 1 ? 'letter' : 'letters'}: "wal-cdc dead-letters list" shows them`;
}

/** One short line that is printed again and again. */
export function formatLiveLine(status: StatusSnapshot): string {
  const parts = [
    status.phase,
    `${formatCount(status.rowsPerSecond)} rows/s`,
    `freshness ${formatMs(status.freshnessMs)}`,
    formatLatency(status),
  ];
  if (status.lagBytes !== undefined) parts.push(`lag ${formatBytes(status.lagBytes)}`);
  parts.push(`${formatCount(status.rowsTotal)} rows`);
  if (status.deadLetters > 0) parts.push(`${formatCount(status.deadLetters)} dead letters`);
  const stopped = status.tables.filter(table => table.state === 'stopped').length;
  if (stopped > 0) parts.push(`${stopped} of ${status.tables.length} tables stopped`);
  if (status.problem) parts.push(status.problem.code);
  return parts.join(' | ');
}

export function formatRetainedWal(retainedBytes: number, safeBytes: number | null | undefined): string {
  const safe = safeBytes == null ? 'without limit' : `${formatBytes(safeBytes)} more until the slot is lost`;
  return `keeps ${formatBytes(retainedBytes)} of WAL, ${safe}`;
}

/** A header, and for each table a line, with the reason below it when it is stopped. */
export function formatTables(tables: readonly TableStatus[]): string[] {
  const hasLetters = tables.some(table => table.deadLetters);
  const letters = (text: string) => (hasLetters ? [text] : []);
  const cells = tables.map(table => [
    table.name,
    table.target,
    formatState(table),
    ...letters(formatCount(table.deadLetters ?? 0)),
    formatCount(table.copiedRows ?? 0),
    formatCount(table.rows),
  ]);
  const header = ['TABLE', 'CLICKHOUSE', 'STATE', ...letters('DEAD LETTERS'), 'COPIED', 'CHANGES'];
  const [head, ...lines] = formatColumns(header, cells, header.length - 2);
  return [head!, ...tables.flatMap((table, i) => [lines[i]!, ...(table.reason ? formatReason(table) : [])])];
}

/** Lines of equal width; columns from `numbers` on are numbers. */
function formatColumns(header: string[], cells: readonly string[][], numbers: number): string[] {
  const widths = header.map((title, i) => Math.max(title.length, ...cells.map(row => row[i]!.length)));
  return [header, ...cells].map(row =>
    row.map((cell, i) => (i < numbers ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '),
  );
}

function formatReason({ reason, since, skippedChanges }: TableStatus): string[] {
  const skipped = skippedChanges ? `, ${formatCount(skippedChanges)} changes left out` : '';
  return [
    `  ${reason!.message} (${reason!.code}${since ? `, at ${since}` : ''}${skipped})`,
    `  ${reason!.hint}`,
  ];
}

function formatState(table: TableStatus): string {
  if (table.state !== 'copying') return table.state;
  const percent = table.copyPercent === undefined ? '' : ` ${Math.floor(table.copyPercent)}%`;
  const remaining =
    table.copyRemainingSeconds === undefined ? '' : `, ${formatSeconds(table.copyRemainingSeconds)} left`;
  return `copying${percent}${remaining}`;
}

function formatLatency({ commitToQueryableMs: { p50, p99 } }: StatusSnapshot): string {
  if (p50 === undefined || p99 === undefined) return 'no commits';
  return `commit to queryable p50 ${formatMs(p50)}, p99 ${formatMs(p99)}`;
}

function isLate(status: StatusSnapshot): boolean {
  return status.freshnessObjectiveMs !== undefined && status.freshnessMs > status.freshnessObjectiveMs;
}

export function formatMs(ms: number): string {
  if (ms < 10) return `${Number(ms.toFixed(1))} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${Number((ms / 1000).toFixed(1))} s`;
  return formatSeconds(ms / 1000);
}

export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let scaled = bytes;
  while (scaled >= 1024 && unit < units.length - 1) {
    scaled /= 1024;
    unit++;
  }
  return `${unit > 0 && scaled < 10 ? Number(scaled.toFixed(1)) : Math.round(scaled)} ${units[unit]}`;
}

export function formatCount(count: number): string {
  return Math.round(count).toLocaleString('en');
}
