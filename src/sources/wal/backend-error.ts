/** The fields of an ErrorResponse or NoticeResponse that matter here (protocol: "Error and Notice Message Fields"). */
export class BackendError extends Error {
  /** SQLSTATE. */
  readonly code: string;
  readonly detail: string | undefined;
  readonly hint: string | undefined;

  constructor(message: string, code: string, detail?: string, hint?: string) {
    super(message);
    this.name = 'BackendError';
    this.code = code;
    this.detail = detail;
    this.hint = hint;
  }
}

/** Decodes the body of an ErrorResponse: pairs of a field type byte and a zero-terminated string. */
export function decodeErrorResponse(body: Buffer): BackendError {
  const fields = new Map<string, string>();
  let pos = 0;
  while (pos < body.length && body[pos] !== 0) {
    const end = body.indexOf(0, pos + 1);
    fields.set(String.fromCharCode(body[pos]!), body.toString('utf8', pos + 1, end));
    pos = end + 1;
  }
  return new BackendError(
    fields.get('M') ?? 'unknown error',
    fields.get('C') ?? 'XX000',
    fields.get('D'),
    fields.get('H'),
  );
}
