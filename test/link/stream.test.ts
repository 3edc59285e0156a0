import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createStreamEnd, IDLE_MS, LOST_MS, type StreamEnd } from "../../src/link/stream.ts";
import { decodeStreamFrame, encodeStreamFrame, LAST_POSITION, resetFrame } from "../../src/protocol/stream.ts";

/** The machine of a stream between two ends and a channel that does its worst. Time is moved by hand. */

interface Channel {
  /** Of a thousand frames. */
  readonly lost: number;
  readonly twice: number;
  readonly late: number;
  readonly delayMs: number;
  /** From when to when nothing passes, and what was on its way is gone. */
  readonly gone: readonly { readonly fromMs: number; readonly forMs: number }[];
}

const GOOD: Channel = { lost: 0, twice: 0, late: 0, delayMs: 20, gone: [] };

class Pair {
  nowMs = 0;
  readonly ends: readonly [StreamEnd, StreamEnd] = [createStreamEnd(true, 0), createStreamEnd(false, 0)];
  readonly heard: [Buffer[], Buffer[]] = [[], []];
  readonly endHeard: [boolean, boolean] = [false, false];
  /** What an end's reader takes at once; the rest waits. */
  reads: [boolean, boolean] = [true, true];
  frames = 0;
  bytes = 0;
  private readonly unread: [Buffer[], Buffer[]] = [[], []];
  private flying: { atMs: number; to: 0 | 1; frame: Uint8Array }[] = [];
  private readonly channel: Channel;
  private seed: number;
  private was = true;

  constructor(channel: Channel, seed = 1) {
    this.channel = channel;
    this.seed = seed;
  }

  private chance(of1000: number): boolean {
    this.seed = (Math.imul(this.seed, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (this.seed >> 8) % 1000 < of1000;
  }

  private up(): boolean {
    return !this.channel.gone.some(({ fromMs, forMs }) => this.nowMs >= fromMs && this.nowMs < fromMs + forMs);
  }

  private fly(from: 0 | 1, frame: Uint8Array): void {
    this.frames++;
    this.bytes += frame.length;
    if (!this.up() || this.chance(this.channel.lost)) return;
    const lateMs = this.chance(this.channel.late) ? 300 : 0;
    const to = from === 0 ? 1 : 0;
    for (let copies = this.chance(this.channel.twice) ? 2 : 1; copies > 0; copies--)
      this.flying.push({ atMs: this.nowMs + this.channel.delayMs + lateMs, to, frame });
  }

  private readFrom(which: 0 | 1): void {
    const { bytes, ended } = this.ends[which].arrived();
    this.unread[which].push(...bytes.map((one) => Buffer.from(one)));
    if (ended) this.endHeard[which] = true;
    if (!this.reads[which]) return;
    for (const one of this.unread[which].splice(0)) {
      this.heard[which].push(one);
      this.ends[which].consumed(one.length);
    }
  }

  /** One turn: what is due arrives, what may go is sent, and the time goes on to what comes next. */
  turn(mostMs = 1_000): void {
    const up = this.up();
    if (!up) this.flying = [];
    if (up && !this.was) for (const end of this.ends) end.reconnected(this.nowMs);
    this.was = up;
    const due = this.flying.filter(({ atMs }) => atMs <= this.nowMs);
    this.flying = this.flying.filter(({ atMs }) => atMs > this.nowMs);
    for (const { to, frame } of due) this.ends[to].receive(frame, this.nowMs);
    for (const which of [0, 1] as const) {
      this.readFrom(which);
      for (const frame of this.ends[which].take(this.nowMs)) this.fly(which, frame);
    }
    const edges = this.channel.gone.flatMap(({ fromMs, forMs }) => [fromMs, fromMs + forMs]);
    const times = [...this.flying.map(({ atMs }) => atMs), ...this.ends.map((end) => end.wakeMs()), ...edges];
    const next = Math.min(...times.filter((ms) => ms > this.nowMs));
    this.nowMs = Math.min(next, this.nowMs + mostMs);
  }

  /** Sends both, each end writing as its room allows, until both are over or it took too long. */
  exchange(data: readonly [Buffer, Buffer], limitTurns = 200_000): void {
    const at: [number, number] = [0, 0];
    for (let turns = 0; turns < limitTurns && this.ends.some((end) => end.over() === null); turns++) {
      for (const which of [0, 1] as const) {
        const end = this.ends[which];
        while (at[which] < data[which].length && end.roomy()) {
          const piece = data[which].subarray(at[which], at[which] + 10_000);
          end.write(piece);
          at[which] += piece.length;
        }
        if (at[which] === data[which].length) end.end();
      }
      this.turn();
    }
  }

  said(which: 0 | 1): Buffer {
    return Buffer.concat(this.heard[which]);
  }
}

function noise(bytes: number, seed: number): Buffer {
  const data = Buffer.alloc(bytes);
  for (let at = 0, state = seed + 1; at < bytes; at++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    data[at] = state >> 16;
  }
  return data;
}

const times = Number(process.env.TOWPATH_LONG ?? 0) > 0 ? 10 : 1;

describe("a stream over a bad channel", () => {
  const channel = fc.record({
    lost: fc.nat(250),
    twice: fc.nat(200),
    late: fc.nat(300),
    delayMs: fc.integer({ min: 1, max: 700 }),
    gone: fc.array(fc.record({ fromMs: fc.nat(20_000), forMs: fc.integer({ min: 10, max: 60_000 }) }), {
      maxLength: 3,
    }),
  });

  it("brings every byte once and in order, both ways, and ends", () => {
    const size = fc.oneof(fc.nat(200), fc.nat(150_000));
    fc.assert(
      fc.property(channel, size, size, fc.nat(1e6), (how, there, back, seed) => {
        const pair = new Pair(how, seed);
        const data = [noise(there, seed), noise(back, seed + 7)] as const;
        pair.exchange(data);
        expect(pair.said(1).equals(data[0])).toBe(true);
        expect(pair.said(0).equals(data[1])).toBe(true);
        expect(pair.endHeard).toEqual([true, true]);
        // The last acknowledgement may be lost, and the end that waits for it asks on: the other has what it sent.
        expect(pair.ends.some((end) => end.over() === "ended")).toBe(true);
      }),
      { numRuns: 60 * times },
    );
  });

  it("holds no more than its room, whatever the reader does", () => {
    const pair = new Pair(GOOD);
    pair.reads = [true, false];
    let written = 0;
    for (let turns = 0; turns < 2_000 && pair.nowMs < 600_000; turns++) {
      while (pair.ends[0].roomy()) {
        pair.ends[0].write(Buffer.alloc(4_096));
        written += 4_096;
      }
      pair.turn();
    }
    expect(written).toBeLessThan(512 * 1024);
    pair.reads = [true, true];
    pair.exchange([Buffer.alloc(0), Buffer.alloc(0)]);
    expect(pair.said(1)).toHaveLength(written);
  });

  it("a keystroke costs two frames with its echo, and nothing is sent while nothing is said", () => {
    const pair = new Pair(GOOD);
    for (let turns = 0; turns < 10; turns++) pair.turn();
    const before = pair.frames;
    for (let key = 0; key < 50; key++) {
      pair.ends[0].write(Buffer.from("x"));
      const until = pair.nowMs + 400;
      let echoed = false;
      while (pair.nowMs < until) {
        pair.turn(5);
        if (!echoed && pair.heard[1].length > key) {
          pair.ends[1].write(Buffer.from("x"));
          echoed = true;
        }
      }
    }
    // The key, its echo that acknowledges it, and the acknowledgement of the echo.
    expect(pair.frames - before).toBeLessThanOrEqual(50 * 3 + 5);
    const quiet = pair.frames;
    const until = pair.nowMs + 55_000;
    while (pair.nowMs < until) pair.turn();
    expect(pair.frames - quiet).toBeLessThanOrEqual(2);
  });

  it("with 600 ms and one frame in a hundred lost, half a megabyte arrives within five minutes", () => {
    const pair = new Pair({ ...GOOD, delayMs: 300, lost: 10 }, 5);
    const data = noise(500_000, 3);
    pair.exchange([data, Buffer.alloc(0)]);
    expect(pair.said(1).equals(data)).toBe(true);
    expect(pair.nowMs).toBeLessThan(300_000);
  });

  it("a silence of five minutes ends it with a reason, a shorter one does not", () => {
    for (const [forMs, how] of [
      [LOST_MS - 40_000, "ended"],
      [LOST_MS * 3, "stream.lost"],
    ] as const) {
      const pair = new Pair({ ...GOOD, gone: [{ fromMs: 200, forMs }] });
      pair.exchange([noise(900_000, 1), noise(900_000, 2)]);
      expect(pair.ends.map((end) => end.over())).toEqual([how, how]);
    }
  });

  it("ends after a quarter of an hour in which nothing is said, though the other end lives", () => {
    const pair = new Pair(GOOD);
    while (pair.ends.some((end) => end.over() === null) && pair.nowMs < IDLE_MS * 2) pair.turn();
    expect(pair.ends[0].over()).toBe("stream.idle");
    expect(pair.ends[1].over()).toBe("stream.idle");
    expect(pair.nowMs).toBeLessThan(IDLE_MS + 70_000);
  });

  it("is over at once where the other end does not know it", () => {
    const end = createStreamEnd(true, 0);
    end.receive(resetFrame("stream.unknown"), 5);
    expect(end.over()).toBe("stream.unknown");
    expect(end.take(6)).toEqual([]);
    expect(end.wakeMs()).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("frames of a stream", () => {
  it("read as they always did", () => {
    const golden = "03000000001234000000005678004068656c6c6f";
    const frame = decodeStreamFrame(Buffer.from(golden, "hex"));
    expect(frame && { ...frame, payload: Buffer.from(frame.payload).toString() }).toEqual({
      ...{ seq: 0x1234, ack: 0x5678, creditKiB: 64, fin: true, ask: true, missing: false, reset: false },
      payload: "hello",
    });
    expect(frame && Buffer.from(encodeStreamFrame(frame)).toString("hex")).toBe(golden);
  });

  it("a position that would not fit is refused, never wrapped", () => {
    const frame = { ack: 0, creditKiB: 0, fin: false, ask: false, missing: false, reset: false };
    const last = encodeStreamFrame({ ...frame, seq: LAST_POSITION - 1, payload: Buffer.from("ab") });
    expect(decodeStreamFrame(last)).toBeNull();
    expect(
      decodeStreamFrame(encodeStreamFrame({ ...frame, seq: LAST_POSITION - 9, payload: Buffer.from("ab") })),
    ).not.toBeNull();
  });

  it("100,000 that are none, or bent, or made up: nothing throws, nothing is believed that was not sent", () => {
    const end = createStreamEnd(false, 0);
    let state = 99;
    const random = (below: number) => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
      return (state >> 8) % below;
    };
    for (let n = 0; n < 100_000 * times; n++) {
      const bytes = Buffer.alloc(random(40));
      for (let at = 0; at < bytes.length; at++) bytes[at] = random(256);
      // Half of them near to what an end would take.
      if (n % 2 === 0 && bytes.length > 15)
        bytes.set([random(8), 0, 0, 0, 0, random(2), random(256), 0, 0, 0, 0, 0, 0], 0);
      // A reset would end it, which is what a reset is for.
      if (((bytes[0] ?? 0) & 8) !== 0) bytes[0] = 0;
      end.receive(bytes, n);
      const { bytes: got } = end.arrived();
      for (const one of got) end.consumed(one.length);
      for (const frame of end.take(n)) expect(decodeStreamFrame(frame)).not.toBeNull();
    }
    expect([null, "ended", "stream.idle", "stream.lost"]).toContain(end.over());
    expect(end.counts().bytesOut).toBe(0);
  });
});
