/**
 * The bytes of one change in `Batch.data`, from every source: those of pgoutput (PostgreSQL docs, "Logical Replication
 * Message Formats"), with one more kind of value. A source that reads something else writes this form.
 *
 * - insert: `N` tuple
 * - update: `N` tuple, or `K` or `O` old tuple, `N` tuple; `K` has only the key, `O` the whole old row
 * - delete: `K` or `O` tuple
 * - tuple: Int16 number of columns, then per column its kind; text, binary and json are followed by Int32 length and bytes
 *
 * All integers are big-endian.
 */
export const Kind = {
  null: 0x6e, // 'n'
  /** Left out, because it did not change and is stored out of line. */
  unchanged: 0x75, // 'u'
  /** PostgreSQL's text; where the column has a `wire`, the content of a JSON string. */
  text: 0x74, // 't'
  /** PostgreSQL's send form. */
  binary: 0x62, // 'b'
  /** A JSON number, boolean, array or object as it stands in an envelope; only where the column has a `wire`. */
  json: 0x6a, // 'j'
} as const;

export const Marker = {
  new: 0x4e, // 'N'
  old: 0x4f, // 'O'
  key: 0x4b, // 'K'
} as const;
