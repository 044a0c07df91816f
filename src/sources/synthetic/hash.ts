/** Spreads 32 bits over 32 bits, one to one: a number that looks random for each number. */
export function mix(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return x ^ (x >>> 15);
}

/** A hash of two numbers; `value` is a whole number below 2^53. */
export function hash(seed: number, value: number): number {
  return mix(mix(seed ^ value) + Math.floor(value / 4294967296) * 0x9e3779b1);
}

/** Another hash for each `use` of the same one. */
export function derive(hashed: number, use: number): number {
  return mix(hashed + Math.imul(use + 1, 0x9e3779b1));
}

/** The hash as a share in [0, 1). */
export function share(hashed: number): number {
  return (hashed >>> 0) / 4294967296;
}

/** The hash as a whole number in [0, limit). */
export function below(hashed: number, limit: number): number {
  return Math.floor(((hashed >>> 0) / 4294967296) * limit);
}
