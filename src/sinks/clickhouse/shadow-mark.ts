import type { ClickHouse } from './client.ts';
import { quoteString, quoteTableName, type TableName } from './names.ts';

/** Begins the comment of a shadow, and of the old table once the two are exchanged: nothing else may be dropped there. */
const mark = 'wal-cdc copies here and drops this; ';

export function isMarked(comment: string): boolean {
  return comment.startsWith(mark);
}

/** The comment of the shadow of a table with this one. */
export function marked(comment: string): string {
  return isMarked(comment) ? comment : mark + comment;
}

/** The comment that a table has when it is live. */
export function unmarked(comment: string): string {
  return isMarked(comment) ? comment.slice(mark.length) : comment;
}

/** After an exchange: the mark goes to the table that stands in the shadow's place now. Also after a crash meanwhile. */
export async function exchangeMarks(
  clickhouse: ClickHouse,
  live: TableName,
  shadow: TableName,
): Promise<void> {
  const rows = await clickhouse.query<{ name: string; comment: string }>(
    `SELECT name, comment FROM system.tables
      WHERE database = ${quoteString(live.database)} AND name IN (${quoteString(live.table)}, ${quoteString(shadow.table)})`,
  );
  const commentOf = ({ table }: TableName) => rows.find(({ name }) => name === table)?.comment;
  const setComment = (name: TableName, comment: string) =>
    clickhouse.command(`ALTER TABLE ${quoteTableName(name)} MODIFY COMMENT ${quoteString(comment)}`);
  const own = commentOf(live);
  if (own === undefined || !isMarked(own)) return;
  const old = commentOf(shadow);
  if (old !== undefined && !isMarked(old)) await setComment(shadow, marked(old));
  await setComment(live, unmarked(own));
}
