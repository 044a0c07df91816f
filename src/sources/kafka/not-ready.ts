/** What a reader throws that must load something first, such as a schema: the message is read again when `ready` resolves. */
export class NotReady extends Error {
  readonly ready: Promise<void>;

  constructor(ready: Promise<void>) {
    super('the reader loads something that it needs');
    this.name = 'NotReady';
    this.ready = ready;
    // Whoever waits for it learns of a failure.
    ready.catch(() => {});
  }
}
