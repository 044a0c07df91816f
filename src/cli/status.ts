import type { Config } from '../config.ts';
import {
  formatBytes,
  formatDeadLetters,
  formatOffsets,
  formatPartitions,
  formatRetainedWal,
  formatStatus,
  formatTables,
} from '../observe/format-status.ts';
import type { TableStatus } from '../observe/status.ts';
import { type ConnectStatus, hasFailed, readConnectStatus } from '../service/connectors.ts';
import { type OfflineStatus, readOfflineStatus } from '../service/offline-status.ts';
import { askService, type RunningService } from '../service/running-service.ts';
import { leaveOnStop } from './leave-on-stop.ts';
import { requireClickHouse } from './require-mode.ts';

export interface StatusOptions {
  json: boolean;
}

/**
 * The state of the service, or without one what is saved of it. Exit code 4 when a table is stopped, 3 when no service
 * answers and a server does not either, or the connector failed.
 */
export async function status(config: Config, { json }: StatusOptions, stop: AbortSignal): Promise<number> {
  leaveOnStop(stop);
  const answer = await askService(config);
  if (answer && (answer.status.pipeline === config.pipeline || !config.pipelineGiven)) {
    const connect = await readConnectStatus(config, answer.status.partitions);
    if (json) print(JSON.stringify({ running: true, ...answer.status, ...(connect && { connect }) }));
    else print([formatStatus(answer.status), ...formatConnect(connect)].join('\n'));
    return isUnusable(connect) ? 3 : exitCode(answer.status.tables);
  }
  requireClickHouse(config, 'status');
  const offline = await readOfflineStatus(config);
  const connect = await readConnectStatus(config, offline.partitions);
  if (json) print(JSON.stringify({ ...offline, ...(connect && { connect }) }));
  else print([formatOffline(config, answer, offline), ...formatConnect(connect)].join('\n'));
  return offline.problems.length > 0 || isUnusable(connect) ? 3 : exitCode(offline.tables);
}

function isUnusable(connect: ConnectStatus | undefined): boolean {
  return connect !== undefined && (connect.problem !== undefined || connect.connectors.some(hasFailed));
}

function formatConnect(connect: ConnectStatus | undefined): string[] {
  if (!connect) return [];
  const { problem, connectors } = connect;
  if (problem) return ['', `connect     ${problem.message} (${problem.code})`, `            ${problem.hint}`];
  return [
    '',
    ...connectors.flatMap(({ name, state, reason, tasks }) => [
      `connector   ${name}: ${state}${reason ? `: ${reason}` : ''}${tasks.length === 0 ? ', without a task' : ''}`,
      ...tasks.map(
        task => `            task ${task.id}: ${task.state}${task.reason ? `: ${task.reason}` : ''}`,
      ),
    ]),
  ];
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
  } else if (status.embedded)
    lines.push('checkpoint  in the embedded ClickHouse, which runs with the service only');
  else if (!status.partitions) lines.push('checkpoint  none known');
  if (status.partitions) lines.push(...formatTopics(status));
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
  if (status.partitions?.length) lines.push('', ...formatPartitions(status.partitions));
  return lines.join('\n');
}

function formatTopics({ partitions = [], lagMessages, group }: OfflineStatus): string[] {
  const lag = lagMessages === undefined ? '; how far behind is not known' : '';
  const members = group?.members ?? [];
  return [
    `offsets     ${partitions.length === 0 ? `none saved${lagMessages === undefined ? '' : ', and no topic matches kafka.topics'}` : `${formatOffsets(partitions)}${lag}`}`,
    ...(members.length > 0
      ? [
          `group       ${group!.name} has ${members.length} ${members.length === 1 ? 'member' : 'members'} (${members.map(({ client, host }) => `${client} at ${host}`).join(', ')}): is "listen" that of the service?`,
        ]
      : []),
  ];
}
