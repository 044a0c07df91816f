/**
 * The seed of what tests choose at random. With `CI` it is fixed, so that a change is judged by what it changes; other runs take
 * another seed each time, and print it.
 */
export const seed = Number(process.env.WAL_CDC_SEED ?? (process.env.CI ? 20260101 : Date.now() % 2 ** 31));
