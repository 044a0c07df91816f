/**
 * Rows of a result, one at a time, without an object for a row: field i of the current row is `data[starts[i]..ends[i])`,
 * a text; `starts[i]` is -1 for NULL. The row before it stays readable for a check of the order.
 */
export abstract class RowReader {
  data: Buffer = Buffer.alloc(0);
  starts: Int32Array;
  ends: Int32Array;
  previous: { data: Buffer; starts: Int32Array; ends: Int32Array };
  /** Rows read, the current one included. */
  rows = 0;
  /** There are no more rows. */
  ended = false;

  constructor(fields: number) {
    this.starts = new Int32Array(fields);
    this.ends = new Int32Array(fields);
    this.previous = { data: this.data, starts: new Int32Array(fields), ends: new Int32Array(fields) };
  }

  /** Goes to the next row if it is here already: no promise is made for most rows. */
  abstract advance(): boolean;

  /** Waits for more; false at the end. */
  protected abstract fill(): Promise<boolean>;

  /** Goes to the next row; false at the end. Call it when `advance` found none. */
  async next(): Promise<boolean> {
    while (!this.advance()) {
      this.ended = !(await this.fill());
      if (this.ended) return false;
    }
    return true;
  }

  /** Gives up what is left. */
  abstract close(): Promise<void>;

  /** The current row becomes the previous one, whose arrays are free for the fields of the next. */
  protected turn(data: Buffer): void {
    const { previous, starts, ends } = this;
    this.starts = previous.starts;
    this.ends = previous.ends;
    previous.data = this.data;
    previous.starts = starts;
    previous.ends = ends;
    this.data = data;
    this.rows++;
  }

  text(field: number): string | null {
    const start = this.starts[field]!;
    return start < 0 ? null : this.data.toString('utf8', start, this.ends[field]!);
  }
}
