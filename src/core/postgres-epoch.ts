/** 2000-01-01 UTC, from which PostgreSQL counts, since 1970-01-01 UTC. */
export const postgresEpochMs = 946_684_800_000;
export const postgresEpochUs = postgresEpochMs * 1000;
