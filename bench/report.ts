import type { ProcessUsage } from './process-usage.ts';

/** One row of the table. Cells that do not apply are left out. */
export interface Line {
  benchmark: string;
  /** Our figure and the peer's, with units. */
  ours: string;
  peer?: string;
  /** Ours to the peer's. */
  ratio?: number;
  checks?: Check[];
  /** CPU time per row in µs, of each process. */
  cpuUs?: Partial<Record<CpuColumn, number>>;
  /** Resident memory of the service at its highest. */
  peakBytes?: number;
  heapBytesPerRow?: number | undefined;
  /** Every run, for the file. */
  runs: unknown[];
}

export type CpuColumn = 'postgres' | 'service' | 'clickhouse' | 'peerPostgres' | 'peer';

/** A bound that the line must keep. A missed `limit` fails the benchmark; a missed `target` is only shown. */
export interface Check {
  kind: 'target' | 'limit';
  /** As in `≥ 0.80` or `< 400 MB`. */
  bound: string;
  kept: boolean;
}

export function atLeast(ratio: number, target: number): Check {
  return { kind: 'target', bound: `≥ ${target.toFixed(2)}`, kept: ratio >= target };
}

export function below(value: number, limit: number, unit: string): Check {
  return { kind: 'limit', bound: `< ${limit} ${unit}`, kept: value < limit };
}

const columns: { title: string; cell(line: Line): string | undefined }[] = [
  { title: '', cell: line => line.benchmark },
  { title: 'wal-cdc', cell: line => line.ours },
  { title: 'peer', cell: line => line.peer },
  { title: 'ratio', cell: line => line.ratio?.toFixed(2) },
  { title: 'wanted', cell: line => line.checks?.map(check => check.bound).join(', ') },
  { title: '', cell: line => line.checks && verdict(line.checks) },
  { title: 'µs: PG', cell: line => line.cpuUs?.postgres?.toFixed(2) },
  { title: 'us', cell: line => line.cpuUs?.service?.toFixed(2) },
  { title: 'CH', cell: line => line.cpuUs?.clickhouse?.toFixed(2) },
  { title: 'PG*', cell: line => line.cpuUs?.peerPostgres?.toFixed(2) },
  { title: 'peer*', cell: line => line.cpuUs?.peer?.toFixed(2) },
  { title: 'MB', cell: line => (line.peakBytes ? megabytes(line.peakBytes) : undefined) },
  { title: 'heap', cell: line => line.heapBytesPerRow?.toFixed(1) },
];

export const legend =
  'µs: CPU time per row of the walsender, of wal-cdc, of ClickHouse, and (*) of walsender and peer in the runs of the peer; ' +
  'MB: resident memory of wal-cdc at its highest; heap: bytes of JS heap allocated per row';

function verdict(checks: Check[]): string {
  if (checks.some(check => check.kind === 'limit' && !check.kept)) return 'FAILED';
  return checks.every(check => check.kept) ? 'ok' : 'missed';
}

export function failed(lines: Line[]): boolean {
  return lines.some(line => line.checks?.some(check => check.kind === 'limit' && !check.kept));
}

export function formatTable(lines: Line[]): string {
  const used = columns.filter(column => lines.some(line => column.cell(line)));
  const cells = [used.map(column => column.title), ...lines.map(line => used.map(c => c.cell(line) ?? ''))];
  const widths = used.map((_, i) => Math.max(...cells.map(row => row[i]!.length)));
  const format = (row: string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
  return [format(cells[0]!), widths.map(width => '─'.repeat(width)).join('──'), ...cells.slice(1).map(format)]
    .map(line => line.trimEnd())
    .join('\n');
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Median CPU time per row in µs; `undefined` where it is not known. */
export function cpuPerRow(
  usages: (Pick<ProcessUsage, 'cpuUs'> | undefined)[],
  rows: number,
): number | undefined {
  const known = usages.flatMap(usage => (usage ? [usage.cpuUs] : []));
  return known.length === 0 ? undefined : median(known) / rows;
}

/** As in `169k rows/s`. */
export function rowsPerSecond(rows: number, seconds: number): string {
  return `${Math.round(rows / seconds / 1000)}k rows/s`;
}

export function megabytes(bytes: number): string {
  return String(Math.round(bytes / 1e6));
}
