import { randomBytes } from "node:crypto";

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** A ULID: 48 bits of time, 80 bits of chance, in Crockford's base 32. Its order is for people; nothing relies on it. */
export function ulid(nowMs: number = Date.now()): string {
  let time = "";
  for (let rest = nowMs, digit = 0; digit < 10; digit++, rest = Math.floor(rest / 32))
    time = ALPHABET.charAt(rest % 32) + time;
  return time + [...randomBytes(16)].map((byte) => ALPHABET.charAt(byte % 32)).join("");
}
