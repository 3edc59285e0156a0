import type { RangeReply } from "./answers.ts";
import {
  type CaptureSource,
  type DeclaredGap,
  type Extent,
  ReadFailed,
  type Span,
  type Step,
} from "./capture-source.ts";
import { type Client, type SiteReply, sleep } from "./client.ts";
import { Unreachable } from "./errors.ts";
import { readRange } from "./reading.ts";
import type { Who } from "./who.ts";

/** A console of a site that answers. */
export interface SiteConsole {
  readonly client: Client;
  readonly who: Who | null;
  readonly console: string;
  readonly track: "rx" | "tx";
  readonly signal: AbortSignal;
  /** Told when the link is lost in the middle, and that it is tried again. */
  readonly note: (line: string) => void;
}

/** The site refused: its answer has the code. */
export class Refused extends Error {
  readonly reply: SiteReply;

  constructor(reply: SiteReply) {
    super(String(reply.code));
    this.reply = reply;
  }
}

/** Nobody answered. */
export class Silent extends Error {}

/** Somebody ended it. */
export class Interrupted extends Error {}

/** A read should take so long: less, and a slow link shows nothing for long; more, and a fast one waits for answers. */
const STEP_MS = 4_000;
const FIRST_STEP = 64 * 1024;
const SMALLEST_STEP = 8 * 1024;
/** What a site gives at once. */
const LARGEST_STEP = 256 * 1024;
/** A long read survives an outage of about this long. */
const PATIENCE_MS = 120_000;
const BUSY_MS = 500;
const BUSY_TRIES = 20;

export function siteSource(site: SiteConsole): CaptureSource {
  let stepBytes = FIRST_STEP;

  const readStep = async (span: Span, progress?: (offset: number) => void): Promise<Step> => {
    const began = Date.now();
    const to = Math.min(span.to, span.from + stepBytes);
    const { range, chunks } = await patiently(site, { boot: span.boot, from: span.from, to }, progress);
    const tookMs = Math.max(1, Date.now() - began);
    stepBytes = Math.min(
      LARGEST_STEP,
      Math.max(SMALLEST_STEP, Math.round(stepBytes * Math.min(2, Math.max(0.25, STEP_MS / tookMs)))),
    );
    if (range.to <= span.from) return nothingLeft(span, range);
    return { chunks, gaps: [...recycled(span.from, range), ...range.gaps], to: range.to };
  };

  return {
    async extent(): Promise<Extent> {
      const { range } = await once(site, { from: Number.MAX_SAFE_INTEGER });
      const boots = range.boots.map(({ firstMonoMs = null, ...held }) => ({ ...held, firstMonoMs }));
      const now = site.client.state()?.body.boot;
      return { boots, clocks: range.clocks, current: typeof now === "number" ? now : null };
    },
    async offsetAt(boot, at) {
      const when = "agoMs" in at ? { sinceMs: Math.round(at.agoMs) } : { fromMonoMs: Math.ceil(at.monoMs) };
      // Nothing is wanted, only where it would begin.
      const { range } = await once(site, { boot, ...when, to: 0 });
      return range.from;
    },
    async *read(span, progress) {
      for (let from = span.from; from < span.to; ) {
        const step = await readStep({ ...span, from }, progress);
        yield step;
        from = step.to;
      }
    },
  };
}

/** The oldest text was overwritten between looking and reading. */
function recycled(asked: number, { from, first }: RangeReply): DeclaredGap[] {
  return from > asked && from === first ? [{ cause: "quota", offset: asked, length: from - asked }] : [];
}

/** The boot is forgotten altogether; anything else must not look like the end. */
function nothingLeft({ boot, from, to }: Span, range: RangeReply): Step {
  if (range.boots.some((one) => one.boot === boot && one.next > from))
    throw new ReadFailed(`the site gave nothing of what it holds at byte ${from} of boot ${boot}`);
  return { chunks: [], gaps: [{ cause: "quota", offset: from, length: to - from }], to };
}

type Got = Extract<Awaited<ReturnType<typeof readRange>>, { ok: true }>;

/** A receiver that fetches the past may be in the way for a moment. */
async function once(
  site: SiteConsole,
  args: Readonly<Record<string, number>>,
  progress?: (offset: number) => void,
): Promise<Got> {
  for (let tries = 1; ; tries++) {
    try {
      return await ask(site, args, progress);
    } catch (error) {
      const busy = error instanceof Refused && error.reply.code === "read.too-many";
      if (!busy || tries >= BUSY_TRIES) throw error;
      await sleep(BUSY_MS);
    }
  }
}

async function ask(
  site: SiteConsole,
  args: Readonly<Record<string, number>>,
  progress?: (offset: number) => void,
): Promise<Got> {
  const { client, who, track, signal } = site;
  const outcome = await readRange(client, who, site.console, args, { track, signal, ...(progress && { progress }) });
  if (outcome.ok) return outcome;
  if (signal.aborted) throw new Interrupted();
  if (outcome.reply !== null) throw new Refused(outcome.reply);
  throw outcome.why === "" ? new Silent() : new ReadFailed(outcome.why);
}

/** A link that is lost in the middle of a long read may come back. */
async function patiently(
  site: SiteConsole,
  args: Readonly<Record<string, number>>,
  progress?: (offset: number) => void,
): Promise<Got> {
  const deadline = Date.now() + PATIENCE_MS;
  for (let said = false; ; said = true) {
    try {
      return await once(site, args, progress);
    } catch (error) {
      const lost = error instanceof Unreachable || error instanceof Silent;
      if (!lost || Date.now() > deadline) throw lost ? new Silent() : error;
      if (!said) site.note(`-- no answer in the middle of the text: trying again for ${PATIENCE_MS / 1_000} s --`);
      await sleep(1_000);
      if (site.signal.aborted) throw new Interrupted();
    }
  }
}
