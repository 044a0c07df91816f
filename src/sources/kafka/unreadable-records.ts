/** Records that the protocol allows, but that cannot be taken in: damaged or too large. Built without a stack trace. */
export class UnreadableRecords extends Error {
  constructor(reason: string) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(reason);
    Error.stackTraceLimit = limit;
    this.name = 'UnreadableRecords';
  }
}
