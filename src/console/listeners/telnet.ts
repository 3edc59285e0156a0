/** The telnet protocol (RFC 854, 855, 856, 1143) as far as a serial console needs it. Bytes in, items out; no I/O. */

const IAC = 255;
export const OPTION = { binary: 0, echo: 1, goAhead: 3, comPort: 44 } as const;

const SE = 240;
const BREAK = 243;
const ARE_YOU_THERE = 246;
const SB = 250;
const VERBS = { will: 251, wont: 252, do: 253, dont: 254 } as const;
const VERB_OF: Readonly<Record<number, TelnetVerb>> = { 251: "will", 252: "wont", 253: "do", 254: "dont" };
const CR = 13;
const LF = 10;
/** What of a subnegotiation is kept; the longest that anybody means is a signature. */
const SUB_LIMIT = 256;

type TelnetVerb = keyof typeof VERBS;

export type TelnetItem =
  | { readonly type: "data"; readonly bytes: Uint8Array }
  | { readonly type: "negotiate"; readonly verb: TelnetVerb; readonly option: number }
  | { readonly type: "sub"; readonly option: number; readonly bytes: Uint8Array }
  | { readonly type: "break" }
  | { readonly type: "are-you-there" };

type State = "data" | "iac" | "verb" | "sub-option" | "sub" | "sub-iac";

/** Takes bytes as they come, in whatever pieces, and holds at most one subnegotiation. */
export class TelnetReader {
  /** A client that agreed to binary sends what is meant; any other sends a return with something behind it. */
  binary = false;
  private state: State = "data";
  private verb: TelnetVerb = "will";
  private option = 0;
  private sub: number[] = [];
  private afterReturn = false;

  push(bytes: Uint8Array): TelnetItem[] {
    const items: TelnetItem[] = [];
    let data: number[] = [];
    const flush = (): void => {
      if (data.length > 0) items.push({ type: "data", bytes: Uint8Array.from(data) });
      data = [];
    };
    for (const byte of bytes) {
      if (this.state === "data" && byte !== IAC) {
        if (this.isMeant(byte)) data.push(byte);
        continue;
      }
      if (this.state === "iac" && byte === IAC) {
        this.state = "data";
        this.afterReturn = false;
        data.push(IAC);
        continue;
      }
      const item = this.command(byte);
      if (item === null) continue;
      flush();
      items.push(item);
    }
    flush();
    return items;
  }

  /** Of a return and the NUL or newline behind it, one return is meant. */
  private isMeant(byte: number): boolean {
    const filler = this.afterReturn && (byte === 0 || byte === LF);
    this.afterReturn = !this.binary && byte === CR;
    return !filler;
  }

  private command(byte: number): TelnetItem | null {
    switch (this.state) {
      case "data":
        this.state = "iac";
        return null;
      case "iac":
        return this.afterIac(byte);
      case "verb":
        this.state = "data";
        return { type: "negotiate", verb: this.verb, option: byte };
      case "sub-option":
        this.option = byte;
        this.sub = [];
        this.state = "sub";
        return null;
      case "sub":
        if (byte === IAC) this.state = "sub-iac";
        else this.keep(byte);
        return null;
      case "sub-iac":
        return this.afterSubIac(byte);
    }
  }

  private afterIac(byte: number): TelnetItem | null {
    const verb = VERB_OF[byte];
    this.state = verb !== undefined ? "verb" : byte === SB ? "sub-option" : "data";
    if (verb !== undefined) this.verb = verb;
    if (byte === BREAK) return { type: "break" };
    return byte === ARE_YOU_THERE ? { type: "are-you-there" } : null;
  }

  private afterSubIac(byte: number): TelnetItem | null {
    if (byte === IAC) {
      this.keep(IAC);
      this.state = "sub";
      return null;
    }
    this.state = "data";
    // Anything but its end is a torn subnegotiation: nobody can tell what was meant, so nothing is done.
    return byte === SE ? { type: "sub", option: this.option, bytes: Uint8Array.from(this.sub) } : null;
  }

  private keep(byte: number): void {
    if (this.sub.length < SUB_LIMIT) this.sub.push(byte);
  }
}

/** Data for a telnet client: the one byte that has a meaning is doubled. */
export function escapeTelnet(bytes: Uint8Array): Uint8Array {
  if (!bytes.includes(IAC)) return bytes;
  const out: number[] = [];
  for (const byte of bytes) out.push(...(byte === IAC ? [IAC, IAC] : [byte]));
  return Uint8Array.from(out);
}

export function subnegotiation(option: number, bytes: Uint8Array): Uint8Array {
  return Uint8Array.from([IAC, SB, option, ...escapeTelnet(bytes), IAC, SE]);
}

interface Side {
  readonly on: boolean;
  readonly asked: boolean;
}

const OFF: Side = { on: false, asked: false };

/** Which options are on, each side for itself. Answers only what changes something, so two ends never answer for ever. */
export class Negotiation {
  private readonly willing: { readonly us: ReadonlySet<number>; readonly them: ReadonlySet<number> };
  private readonly us = new Map<number, Side>();
  private readonly them = new Map<number, Side>();

  constructor(us: readonly number[], them: readonly number[]) {
    this.willing = { us: new Set(us), them: new Set(them) };
  }

  /** What we offer and ask for at the beginning; the rest waits to be asked for. */
  begin(except: readonly number[] = []): Uint8Array {
    const out: number[] = [];
    for (const option of this.willing.us) {
      if (except.includes(option)) continue;
      this.us.set(option, { on: false, asked: true });
      out.push(IAC, VERBS.will, option);
    }
    for (const option of this.willing.them) {
      this.them.set(option, { on: false, asked: true });
      out.push(IAC, VERBS.do, option);
    }
    return Uint8Array.from(out);
  }

  heard(verb: TelnetVerb, option: number): Uint8Array {
    if (verb === "do" || verb === "dont") {
      return this.settle(this.us, this.willing.us, option, verb === "do", VERBS.will, VERBS.wont);
    }
    return this.settle(this.them, this.willing.them, option, verb === "will", VERBS.do, VERBS.dont);
  }

  usOn(option: number): boolean {
    return this.us.get(option)?.on ?? false;
  }

  themOn(option: number): boolean {
    return this.them.get(option)?.on ?? false;
  }

  private settle(
    sides: Map<number, Side>,
    willing: ReadonlySet<number>,
    option: number,
    wanted: boolean,
    yes: number,
    no: number,
  ): Uint8Array {
    const { on, asked } = sides.get(option) ?? OFF;
    if (wanted && !willing.has(option)) return Uint8Array.from([IAC, no, option]);
    sides.set(option, { on: wanted, asked: false });
    // An answer to what we asked, or what is so already, is not answered.
    if (asked || on === wanted) return new Uint8Array();
    return Uint8Array.from([IAC, wanted ? yes : no, option]);
  }
}
