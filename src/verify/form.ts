/**
 * How a value is written as text by each database's own SQL, so that the texts are equal exactly when the values are.
 * Nothing here may come from the encoders: their faults are what the texts have to show.
 */
export interface Form {
  /** SQL text of PostgreSQL's value; NULL for NULL. */
  postgres(value: string): string;
  /** The same text of ClickHouse's value; NULL for NULL. */
  clickhouse(value: string): string;
  /** Condition in PostgreSQL: the ClickHouse type holds the value. */
  fits?(value: string): string;
  /** The nearest value that the ClickHouse type holds, where there is one; the value itself otherwise. */
  clamp?(value: string): string;
  /** Of this many letters and more there may be: such texts are compared by digest. */
  unbounded?: boolean;
  /** The text has no quote, backslash or comma and is never `NULL`: elements of arrays need no quotes. */
  plain?: boolean;
  /** Where the columns themselves, not their texts, order the rows: an index or sort key then serves. */
  order?: { postgres?: boolean; clickhouse?: boolean; numeric?: boolean };
  /** PostgreSQL's input for the text, to look a key up by index; without it the text itself is compared. */
  input?(text: string): string;
  /** For people. */
  readable?(text: string): string;
  /** Where texts of equal values may differ. */
  equal?(postgres: string, clickhouse: string): boolean;
}

/** What the output function prints, as pgoutput sends it. A cast to text differs for bool, char(n), inet and others. */
export function outputText(value: string): string {
  return `CASE WHEN ${value} IS DISTINCT FROM NULL THEN concat(${value}) END`;
}

/** A string constant that reads the same whatever standard_conforming_strings says. */
export function postgresString(text: string): string {
  return `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}

export function clickHouseString(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
