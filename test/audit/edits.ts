import { textHash } from "../../src/protocol/ledger-chain.ts";
import type { Random } from "../sim/random.ts";
import { publicKeyOf } from "./site.ts";

/** What somebody might do to an export that is not his: by accident, or knowing well how it is made. */

type Json = Record<string, unknown>;
type Edit = (text: string, random: Random) => string | Uint8Array;

const linesOf = (text: string): string[] => text.split("\n").slice(0, -1);
const whole = (lines: readonly string[]): string => [...lines, ""].join("\n");

/** The number of a line that holds a record. */
const anyRecord = (lines: readonly string[], random: Random): number => random.between(1, lines.length - 1);

/** Records with their numbers and hashes made to fit again: what anybody can do. The site's signatures nobody can. */
function chained(lines: readonly string[]): string[] {
  const [header = "", ...rest] = lines;
  let prev = "0".repeat(64);
  let seq = 0;
  const records = rest.map((line) => {
    if (line.startsWith('{"head"')) return line;
    const text = JSON.stringify({ ...(JSON.parse(line) as Json), seq: ++seq, prev });
    prev = textHash(text);
    return text;
  });
  return [header, ...records];
}

function bytesEdit(change: (bytes: Buffer, at: number, random: Random) => Uint8Array): Edit {
  return (text, random) => {
    const bytes = Buffer.from(text);
    return change(bytes, random.between(0, bytes.length), random);
  };
}

const noise = (random: Random): Buffer => Buffer.from(random.hex(random.between(1, 5)), "hex");
const letters = (random: Random): Buffer => Buffer.from(random.hex(random.between(1, 5)));

/** One value in a record becomes another of its kind. */
function another(value: unknown, random: Random): unknown {
  if (typeof value === "number") return value + random.pick([-1, 1, 1000]);
  if (typeof value === "boolean") return !value;
  if (typeof value === "string") return bent(value, random);
  if (Array.isArray(value)) return value.length === 0 ? ["a1"] : value.slice(1);
  if (value === null) return "local:power-restore";
  const entries = Object.entries(value as Json);
  const [name, inner] = entries.length === 0 ? ["a1", "off"] : random.pick(entries);
  return { ...(value as Json), [name]: another(inner, random) };
}

const SAME_KIND = [
  ["on", "off", "cycle"],
  ["alice", "olaf", "vera"],
  ["router1", "nas1", "cam1"],
  ["a1", "a2", "a4"],
];

function bent(text: string, random: Random): string {
  const kind = SAME_KIND.find((one) => one.includes(text));
  if (kind !== undefined) return random.pick(kind.filter((one) => one !== text));
  const at = random.between(0, Math.max(1, text.length));
  return `${text.slice(0, at)}${random.pick(["A", "z", "0", "="])}${text.slice(at + 1)}`;
}

function otherRecord(text: string, random: Random): string {
  const lines = linesOf(text);
  const at = anyRecord(lines, random);
  const record = JSON.parse(lines[at] ?? "{}") as Json;
  const names = Object.keys(record).filter((name) => name !== "prev" && name !== "seq");
  const name = random.pick(names);
  const { [name]: value, ...rest } = record;
  lines[at] = JSON.stringify(random.chance(0.1) ? rest : { ...record, [name]: another(value, random) });
  return whole(random.chance(0.8) ? chained(lines) : lines);
}

/** The last letter of base64 may say the same with other bits; padding and spaces say the same too. */
function sameBytes(text: string, random: Random): string {
  const found = [...text.matchAll(/[A-Za-z0-9_-]{40,}(?=\\?")/g)];
  const one = random.pick(found);
  const end = (one.index ?? 0) + one[0].length;
  const instead = random.pick([`${one[0].at(-1)}=`, `${one[0].at(-1)}==`, random.pick(["A", "B", "Q", "g", "w", "_"])]);
  const edited = `${text.slice(0, end - 1)}${instead}${text.slice(end)}`;
  return random.chance(0.5) ? edited : whole(chained(linesOf(edited)));
}

function spaced(text: string, random: Random): string {
  const places = [...text.matchAll(/[{},:\n]/g)].map((one) => one.index ?? 0);
  const at = random.pick(places);
  return `${text.slice(0, at)}${random.pick([" ", "\t", "\n", "\r", "\u00a0", "\ufeff"])}${text.slice(at)}`;
}

function evidenceOfAnother(text: string, random: Random): string {
  const lines = linesOf(text);
  const signed = lines.flatMap((line, index) => (/"signed":"/.test(line) ? [index] : []));
  const [to, from] = [random.pick(signed), random.pick(signed)];
  const record = JSON.parse(lines[to] ?? "{}") as Json;
  lines[to] = JSON.stringify({ ...record, signed: (JSON.parse(lines[from] ?? "{}") as Json).signed });
  return whole(random.chance(0.8) ? chained(lines) : lines);
}

function header(text: string, random: Random): string {
  const [first = "", ...rest] = linesOf(text);
  const head = JSON.parse(first) as Json;
  const changes = [
    { fleet: "acne" },
    { site: "two" },
    { key: publicKeyOf("mallory") },
    { key: `${String(head.key)} site` },
    { v: 2 },
    { more: 1 },
  ];
  const edited = JSON.stringify({ ...head, ...random.pick(changes) });
  return whole([...(random.chance(0.1) ? [] : [edited]), ...rest]);
}

function cut(text: string, random: Random): string {
  const lines = linesOf(text);
  const kept = lines.slice(0, random.between(0, lines.length - 1));
  // With its head put back, or without.
  return whole(random.chance(0.5) ? kept : [...kept, lines.at(-1) ?? ""]);
}

/** A line is moved, dropped or doubled; the numbers and the hashes are made to fit, or left. */
function lineEdit(change: (lines: string[], random: Random) => string[]): Edit {
  return (text, random) => {
    const lines = change(linesOf(text), random);
    return whole(random.chance(0.5) && /^\{"v"/.test(lines[0] ?? "") ? chained(lines) : lines);
  };
}

function swapped(lines: string[], random: Random): string[] {
  const [a, b] = [random.between(0, lines.length), random.between(0, lines.length)];
  return lines.map((line, index) => (index === a ? lines[b] : index === b ? lines[a] : line) ?? "");
}

function doubled(lines: string[], random: Random): string[] {
  const line = lines[random.between(0, lines.length)] ?? "";
  return lines.toSpliced(random.between(0, lines.length + 1), 0, line);
}

export const EDITS: Readonly<Record<string, Edit>> = {
  "a bit is flipped": bytesEdit((bytes, at, random) => {
    bytes[at] = (bytes[at] ?? 0) ^ (1 << random.between(0, 8));
    return bytes;
  }),
  "bytes are deleted": bytesEdit((bytes, at, random) =>
    Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + random.between(1, 9))]),
  ),
  "bytes are inserted": bytesEdit((bytes, at, random) =>
    Buffer.concat([bytes.subarray(0, at), random.chance(0.5) ? noise(random) : letters(random), bytes.subarray(at)]),
  ),
  "the file is cut": (text, random) => text.slice(0, random.between(0, text.length)),
  "lines are swapped": lineEdit(swapped),
  "a line is dropped": lineEdit((lines, random) => lines.toSpliced(random.between(0, lines.length), 1)),
  "a line is doubled": lineEdit(doubled),
  "a record says another thing": otherRecord,
  "a record has another's evidence": evidenceOfAnother,
  "the same bytes are written otherwise": sameBytes,
  "a space is put in": spaced,
  "the header is exchanged": header,
  "the newest records are cut off": cut,
};
