import type { Config } from '../config.ts';
import {
  formatBytes,
  formatDeadLetters,
  formatRetainedWal,
  formatStatus,
  formatTables,
} from '../observe/format-status.ts';
import type { TableStatus } from '../observe/status.ts';
import { type OfflineStatus, readOfflineStatus } from '../service/offline-status.ts';
import { askService, type RunningService } from '../service/running-service.ts';
import { leaveOnStop } from './leave-on-stop.ts';
import { requireClickHouse, requireWal } from './require-wal.ts';

export interface StatusOptions {
  json: boolean;
}

/**
 * The state of the service, or without one what is saved of it. Exit code 4 when a table is stopped, 3 when no service
 * answers and a server does not either.
 */
export async function status(config: Config, { json }: StatusOptions, stop: AbortSignal): Promise<number> {
  leaveOnStop(stop);
  const answer = await askService(config);
  if (answer && (answer.status.pipeline === config.pipeline || !config.pipelineGiven)) {
    print(json ? JSON.stringify({ running: true, ...answer.status }) : formatStatus(answer.status));
    return exitCode(answer.status.tables);
  }
  if (config.mode === 'synthetic') requireClickHouse(config, 'status');
  else requireWal(config);
  const offline = await readOfflineStatus(config);
  print(json ? JSON.stringify(offline) : formatOffline(config, answer, offline));
  return offline.problems.length > 0 ? 3 : exitCode(offline.tables);
}

function exitCode(tables: readonly TableStatus[]): number {
  return tables.some(table => table.state === 'stopped') ? 4 : 0;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function formatOffline(config: Config, other: RunningService | undefined, status: OfflineStatus): string {
  const { host, port } = config.listen;
  const { slot } = status;
  const lines = [
    `pipeline    ${status.pipeline} (${status.mode}), not running: ${
      other
        ? `the service at ${other.url} is of pipeline ${other.status.pipeline}`
        : `no service answers at ${host}:${port}`
    }`,
  ];
  if (status.checkpoint) {
    const lag =
      status.lagBytes === undefined
        ? ''
        : `, ${formatBytes(status.lagBytes)} behind ${status.sourcePosition}`;
    lines.push(`checkpoint  ${status.checkpoint}${lag}`);
  } else lines.push('checkpoint  none known');
  if (slot) {
    const lost = slot.walStatus === 'lost' || slot.invalidationReason;
    lines.push(
      `slot        ${slot.name} ${
        lost
          ? `was invalidated (${slot.invalidationReason ?? 'wal_removed'})`
          : formatRetainedWal(slot.retainedWalBytes, slot.safeWalBytes)
      }`,
    );
    if (slot.activePid !== undefined)
      lines.push(
        `            process ${slot.activePid} (${slot.activeBy ?? 'unknown'}) streams from it: is "listen" that of the service?`,
      );
  } else if (status.sourcePosition) lines.push(`slot        ${config.postgres.slot} does not exist`);
  if (status.deadLetters > 0) lines.push(`set aside   ${formatDeadLetters(status.deadLetters)}`);
  for (const { code, message, hint } of status.problems)
    lines.push('', `problem     ${message} (${code})`, `            ${hint}`);
  if (status.tables.length > 0) lines.push('', ...formatTables(status.tables));
  return lines.join('\n');
}
