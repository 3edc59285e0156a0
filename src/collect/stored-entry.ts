import type { Mark } from "../protocol/chunk.ts";

/** One line of a `.idx`: bytes of the `.log` beside it, or a gap between them. */
export interface StoredEntry {
  /** Where in the `.log`. */
  readonly at: number;
  readonly bytes: number;
  readonly boot: number;
  readonly offset: number;
  /** The offset behind it. */
  readonly next: number;
  readonly monoMs: number;
  /** Unix ms by the site's clock; null while that was not known. */
  readonly wallMs: number | null;
  readonly marks: readonly Mark[];
  readonly gap: { readonly cause: string; readonly length: number | null; readonly count: number } | null;
}

/** Null for what is no whole entry; never throws. */
export function readStoredEntry(line: string): StoredEntry | null {
  const value = parse(line);
  if (value === null) return null;
  const { at, boot, offset, mono, wall } = value;
  if (!isCount(at) || !isCount(boot) || !isCount(offset) || !isCount(mono)) return null;
  const head = { at, boot, offset, monoMs: mono, wallMs: typeof wall === "number" ? wall : null };
  if (value.gap === undefined) return withBytes(head, value);
  const gap = readGap(value.gap);
  return gap && { ...head, bytes: 0, next: offset + (gap.length ?? 0), marks: [], gap };
}

function withBytes(
  head: Pick<StoredEntry, "at" | "boot" | "offset" | "monoMs" | "wallMs">,
  { n, marks }: Readonly<Record<string, unknown>>,
): StoredEntry | null {
  if (!isCount(n) || n === 0) return null;
  const read = (Array.isArray(marks) ? marks : []).flatMap((mark: unknown) => {
    const [position, ms]: unknown[] = Array.isArray(mark) ? mark : [];
    return isCount(position) && isCount(ms) && position < n ? [{ at: position, monoMs: head.monoMs + ms }] : [];
  });
  return { ...head, bytes: n, next: head.offset + n, marks: read, gap: null };
}

function readGap(value: unknown): StoredEntry["gap"] {
  if (typeof value !== "object" || value === null) return null;
  const { cause, length, count } = value as Record<string, unknown>;
  if (typeof cause !== "string") return null;
  return { cause, length: isCount(length) ? length : null, count: isCount(count) ? count : 1 };
}

function parse(line: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}
