import type { Durable } from "../core/ledger.ts";

const written = new WeakMap<object, string>();

/**
 * The durable state as JSON, which goes along with each append. Most of it are answers to commands of before: none is
 * ever changed, so each is written once.
 */
export function snapshotText({ decided, ...rest }: Durable): string {
  return `${JSON.stringify(rest).slice(0, -1)},"decided":[${decided.map(writtenOnce).join()}]}`;
}

function writtenOnce(value: object): string {
  const before = written.get(value);
  if (before !== undefined) return before;
  const json = JSON.stringify(value);
  written.set(value, json);
  return json;
}
