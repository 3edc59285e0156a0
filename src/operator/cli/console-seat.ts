import type { Duplex } from "node:stream";
import type { SessionMessage, SessionRequest } from "../../protocol/session.ts";
import { type ConsoleSession, startSession } from "../console-session.ts";
import { EscapeReader } from "../escape.ts";
import { type CliArgs, EXIT, SilentError } from "./command.ts";
import { helpText, messageText, peopleText } from "./console-words.ts";
import { ask, ConsoleText, jsonText, note, print } from "./out.ts";
import { openTerminal, type Terminal } from "./terminal.ts";

/** In front of a console: a terminal, a pipe, or a program that reads JSON. */

export interface Seat {
  readonly args: CliArgs;
  readonly stream: Duplex;
  readonly begin: Extract<SessionRequest, { t: "begin" }>;
  readonly mark: string;
  readonly site: string;
  readonly console: string;
}

export async function followAsJson(seat: Seat): Promise<number> {
  const stop = (): void => session.end();
  const session = startSession(seat.stream, seat.begin, {
    data: (bytes, offset) =>
      print(jsonText({ t: "data", offset, text: Buffer.from(bytes).toString("utf8"), base64: base64(bytes) })),
    message: (message) => print(jsonText(message)),
    room: () => undefined,
  });
  process.once("SIGINT", stop).once("SIGTERM", stop);
  return exitOfEnd(await session.ended);
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

/** After the end of a pipe the console has its say, until it has been quiet for so long. */
const QUIET_MS = 3_000;
/** One that is never quiet is left after that. */
const ANSWER_MS = 30_000;

export async function typeFromPipe(seat: Seat): Promise<number> {
  const shown = new ConsoleText();
  let quiet: NodeJS.Timeout | null = null;
  const session = startSession(seat.stream, seat.begin, {
    data(bytes) {
      process.stdout.write(shown.push(bytes));
      quiet?.refresh();
    },
    message: (message) => tellLine(message, seat.mark),
    room: () => void process.stdin.resume(),
  });
  process.stdin.on("data", (bytes: Buffer) => {
    if (!session.type(bytes)) process.stdin.pause();
  });
  process.stdin.once("end", () => {
    quiet = setTimeout(session.end, QUIET_MS);
    setTimeout(session.end, ANSWER_MS).unref();
  });
  process.once("SIGINT", session.end).once("SIGTERM", session.end);
  const ended = await session.ended;
  if (quiet !== null) clearTimeout(quiet);
  process.stdin.pause();
  return exitOfEnd(ended);
}

function tellLine(message: SessionMessage, mark: string): void {
  const text = messageText(message, mark);
  if (text !== null) note(`[${text}]`);
}

export async function typeOnTerminal(seat: Seat): Promise<number> {
  const terminal = openTerminal();
  try {
    return exitOfEnd(await new AtTerminal(seat, terminal).run());
  } finally {
    terminal.restore();
  }
}

type Question = { readonly text: string; readonly answer: (line: string) => void };

const CTRL_C = 3;
const ESCAPE = 27;
const CR = 13;
const BACKSPACE = [8, 127];
/** What a console can leave a terminal in: colours, a hidden cursor, mouse and paste reports. */
const TIDY = "\u001b[0m\u001b[?25h\u001b[?1000l\u001b[?1002l\u001b[?1003l\u001b[?1006l\u001b[?2004l";
/** Shown after a question or a menu; more than that is in the journal. */
const HELD_BYTES = 256 * 1024;

class AtTerminal {
  private readonly seat: Seat;
  private readonly terminal: Terminal;
  private readonly escape: EscapeReader;
  private readonly session: ConsoleSession;
  private hello: Extract<SessionMessage, { t: "hello" }> | null = null;
  private people: Extract<SessionMessage, { t: "people" }> | null = null;
  private question: Question | null = null;
  private line = "";
  /** What the console says while a person answers us. */
  private held: Uint8Array[] | null = null;
  private heldBytes = 0;
  private alternate = false;

  constructor(seat: Seat, terminal: Terminal) {
    this.seat = seat;
    this.terminal = terminal;
    this.escape = new EscapeReader(seat.mark);
    this.session = startSession(seat.stream, seat.begin, {
      data: (bytes) => this.show(bytes),
      message: (message) => this.told(message),
      room: () => this.terminal.hold(false),
    });
  }

  async run(): Promise<string | null> {
    this.terminal.raw((bytes) => this.typed(bytes));
    const ended = await this.session.ended;
    process.stdout.write(`${this.alternate ? "\u001b[?1049l" : ""}${TIDY}`);
    this.say("session ended");
    return ended;
  }

  private show(bytes: Uint8Array): void {
    if (this.held === null) {
      this.watchScreen(bytes);
      process.stdout.write(bytes);
      return;
    }
    this.held.push(bytes);
    this.heldBytes += bytes.length;
    while (this.heldBytes > HELD_BYTES) this.heldBytes -= this.held.shift()?.length ?? 0;
  }

  private watchScreen(bytes: Uint8Array): void {
    if (!bytes.includes(ESCAPE)) return;
    const text = Buffer.from(bytes).toString("latin1");
    const [on, off] = ["\u001b[?1049h", "\u001b[?1049l"].map((one) => text.lastIndexOf(one));
    if (on !== off) this.alternate = (on ?? -1) > (off ?? -1);
  }

  private told(message: SessionMessage): void {
    if (message.t === "hello") {
      this.hello = message;
      const mark = this.seat.mark;
      return this.say(`${this.seat.site}/${message.console}${mark === "none" ? "" : `; ${mark}? for help`}`);
    }
    if (message.t === "people") {
      const before = this.people;
      this.people = message;
      // Who comes and goes; who types is told by the lease.
      if (before !== null && before.people.length !== message.people.length) this.say(peopleText(message));
      else if (before === null && message.people.length > 1) this.say(peopleText(message));
      return;
    }
    if (message.t === "confirm") return this.confirm(message);
    const text = messageText(message, this.seat.mark);
    if (text !== null) this.say(text);
  }

  /** On a line of its own. */
  private say(text: string): void {
    process.stderr.write(`\r\n[${text.replaceAll("\n", "\r\n ")}]\r\n`);
  }

  private typed(bytes: Buffer): void {
    if (this.question !== null) return this.answering(bytes);
    for (const [index, item] of this.escape.push(bytes).entries()) {
      if ("command" in item) this.command(item.command);
      // What follows a command in the same breath was typed for what the command asks.
      else if (index > 0 && this.isAsking()) this.answering(Buffer.from(item.data));
      else if (!this.session.type(item.data)) this.terminal.hold(true);
    }
  }

  private isAsking(): boolean {
    return this.question !== null;
  }

  private command(key: string): void {
    const { session } = this;
    switch (key) {
      case ".":
        return session.end();
      case "B":
        return session.ask({ t: "send", name: "break", confirmed: false });
      case ":":
        return this.askSequence();
      case "P":
        return this.askPower();
      case "r":
        return session.ask({ t: "request" });
      case "s":
        return session.ask({ t: "steal" });
      case "j":
        return session.ask({ t: "join" });
      case "l":
        return session.ask({ t: "release" });
      case "w":
        return this.say(this.people === null ? "nobody else is here" : peopleText(this.people));
      default:
        return this.say(helpText(this.seat.mark));
    }
  }

  private ask(text: string, answer: Question["answer"]): void {
    process.stderr.write(`\r\n${text}`);
    this.question = { text, answer };
    this.line = "";
    this.held = [];
  }

  private answering(bytes: Buffer): void {
    for (const byte of bytes) {
      if (byte === CR || byte === CTRL_C || byte === ESCAPE) {
        const { question, line } = this;
        this.question = null;
        process.stderr.write("\r\n");
        question?.answer(byte === CR ? line.trim() : "");
        if (this.question === null) this.showHeld();
      } else if (BACKSPACE.includes(byte)) {
        if (this.line.length > 0) process.stderr.write("\b \b");
        this.line = this.line.slice(0, -1);
      } else if (byte >= 32 && byte < 127) {
        this.line += String.fromCharCode(byte);
        process.stderr.write(String.fromCharCode(byte));
      }
    }
  }

  private showHeld(): void {
    const held = this.held ?? [];
    this.held = null;
    this.heldBytes = 0;
    for (const bytes of held) this.show(bytes);
  }

  private confirm({ name, what }: Extract<SessionMessage, { t: "confirm" }>): void {
    this.ask(`${name}: ${what}. Send it? [y/N] `, (line) => {
      if (/^y(es)?$/i.test(line)) this.session.ask({ t: "send", name, confirmed: true });
      else this.say("not sent");
    });
  }

  private askSequence(): void {
    const all = this.hello?.sequences ?? [];
    const width = Math.max(0, ...all.map(({ name }) => name.length));
    this.say(
      all.map(({ name, what, confirm }) => `${name.padEnd(width)}  ${what}${confirm ? " (asks)" : ""}`).join("\n"),
    );
    this.ask("send which? ", (line) => {
      if (line !== "") this.session.ask({ t: "send", name: line, confirmed: false });
    });
  }

  private askPower(): void {
    const device = this.hello?.device ?? this.seat.console;
    this.ask(`power of ${device}: 1 on, 2 off, 3 cycle, return: back. `, (line) => {
      const verb = { "1": "on", "2": "off", "3": "cycle", on: "on", off: "off", cycle: "cycle" }[line];
      if (verb !== undefined) void this.power(verb, device);
    });
  }

  /** The same select and operate as `towpath power`, with its preview and its questions. */
  private async power(verb: string, device: string): Promise<void> {
    this.held = [];
    await this.terminal.cooked(async () => {
      const { command } = await import("./power.ts");
      const words = [verb, `${this.seat.site}/${device}`];
      await command.run({ words, values: this.seat.args.values, json: false }).catch((error: unknown) => {
        note(`towpath: ${error instanceof Error ? error.message : String(error)}`);
      });
      await ask("return: back to the console ");
    });
    this.say(`back at ${this.seat.site}/${this.seat.console}`);
    this.showHeld();
  }
}

/** The exit code for how a session ended. */
function exitOfEnd(ended: string | null): number {
  if (ended === null) throw new SilentError("the connection was lost; attach again to go on (site.silent)");
  if (ended === "left") return EXIT.done;
  return ended === "role.denied" || ended === "console.unknown" || ended === "session.too-many"
    ? EXIT.rejected
    : EXIT.failed;
}
