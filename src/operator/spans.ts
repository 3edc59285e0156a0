import type { ClockAt } from "./answers.ts";
import { BootClocks } from "./boot-clocks.ts";
import type { CaptureSource, Extent, HeldBoot, Span } from "./capture-source.ts";
import type { When } from "./when.ts";

/** Which bytes are meant by "since", "until", "all" or nothing. */
export interface Want {
  readonly all: boolean;
  readonly since: When | null;
  readonly until: When | null;
  /** Exactly from here on: where another read was ended. */
  readonly from: { readonly boot: number; readonly offset: number } | null;
  readonly nowMs: number;
}

export interface Plan {
  readonly spans: readonly Span[];
  /** It begins in the middle of something: the first line may be half a line. */
  readonly cutsLine: boolean;
  /** What a person must know about the times. */
  readonly doubts: readonly string[];
}

const TAIL_BYTES = 16 * 1024;

export async function planSpans(source: CaptureSource, extent: Extent, want: Want): Promise<Plan> {
  const doubts = new Set<string>();
  const spans: Span[] = [];
  for (const [index, held] of extent.boots.entries()) {
    const from = await startIn(source, extent, index, want, doubts);
    if (from === null) continue;
    const to = want.until === null ? held.next : await edge(source, extent, index, want.until, want, "next", doubts);
    if (from < to) spans.push({ boot: held.boot, from, to });
  }
  if (want.all || want.since !== null || want.from !== null) return { spans, cutsLine: false, doubts: [...doubts] };
  const tail = lastOf(spans, TAIL_BYTES);
  const [first] = tail;
  const held = extent.boots.find(({ boot }) => boot === first?.boot);
  return { spans: tail, cutsLine: first !== undefined && first.from > (held?.first ?? 0), doubts: [...doubts] };
}

async function startIn(
  source: CaptureSource,
  extent: Extent,
  index: number,
  want: Want,
  doubts: Set<string>,
): Promise<number | null> {
  const held = extent.boots[index];
  if (held === undefined) return null;
  if (want.from !== null) {
    const begin = extent.boots.findIndex(({ boot }) => boot === want.from?.boot);
    if (index !== begin) return index < begin ? null : held.first;
    return Math.max(held.first, want.from.offset);
  }
  return want.since === null ? held.first : await edge(source, extent, index, want.since, want, "first", doubts);
}

/** The offset in a boot at which that time falls; `otherwise` is the end that is taken where nobody can know. */
async function edge(
  source: CaptureSource,
  extent: Extent,
  index: number,
  when: When,
  want: Want,
  otherwise: "first" | "next",
  doubts: Set<string>,
): Promise<number> {
  const held = extent.boots[index] ?? { boot: 0, first: 0, next: 0, firstMonoMs: null };
  // What a later boot began before that time is over by then.
  if (
    extent.boots.slice(index + 1).some((later) => (startOf(extent, later) ?? Number.POSITIVE_INFINITY) <= when.wallMs)
  )
    return held.next;
  const here = held.boot === extent.current;
  if (here && when.agoMs !== null) return source.offsetAt(held.boot, { agoMs: when.agoMs });
  const clock = clockOf(extent, held.boot);
  if (clock !== undefined) {
    const doubt = doubtOf(clock);
    if (doubt !== null) doubts.add(doubt);
    const monoMs = Math.ceil(clock.mono + (when.wallMs - clock.wall));
    if (monoMs <= (held.firstMonoMs ?? 0)) return held.first;
    return source.offsetAt(held.boot, { monoMs });
  }
  if (here) return source.offsetAt(held.boot, { agoMs: Math.max(0, want.nowMs - when.wallMs) });
  if (extent.boots.slice(0, index).some((earlier) => (startOf(extent, earlier) ?? 0) > when.wallMs)) return held.first;
  doubts.add(`nobody knows when boot ${held.boot} was: the site's clock was never set then; all of it is shown`);
  return held[otherwise];
}

function clockOf(extent: Extent, boot: number): ClockAt | undefined {
  return extent.clocks.find((one) => one.boot === boot);
}

function doubtOf(clock: ClockAt): string | null {
  const clocks = new BootClocks();
  clocks.learn([clock]);
  return clocks.doubt(clock.boot);
}

/** When the machine started, unix ms. */
function startOf(extent: Extent, { boot }: HeldBoot): number | null {
  const clock = clockOf(extent, boot);
  return clock === undefined ? null : clock.wall - clock.mono;
}

/** The last so many bytes, over boots. */
function lastOf(spans: readonly Span[], bytes: number): Span[] {
  const tail: Span[] = [];
  let left = bytes;
  for (const span of spans.toReversed()) {
    if (left <= 0) break;
    const from = Math.max(span.from, span.to - left);
    left -= span.to - from;
    tail.unshift({ ...span, from });
  }
  return tail;
}
