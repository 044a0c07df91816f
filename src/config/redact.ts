export const redacted = '***';

/** Replaces the password of every URL in a text, and secrets in its query. */
export function redactText(text: string): string {
  return text
    .replace(/([a-z][a-z0-9+.-]*:\/\/[^\s:/?#"@]*):[^\s"]*@/gi, `$1:${redacted}@`)
    .replace(/([?&](?:password|sslpassword|token)=)[^&\s"]*/gi, `$1${redacted}`);
}
