import type { Socket } from "node:net";
import type { LineSettings } from "../../core/line.ts";
import type { LineStatus } from "../port.ts";
import type { Session, Viewer } from "../viewer.ts";
import { ComPort, type LineControl } from "./rfc2217.ts";
import { escapeTelnet, Negotiation, OPTION, TelnetReader } from "./telnet.ts";

/** One program at a listener: what it sends means typed bytes or commands, what the console says goes to it as it is. */

export type ListenerKind = "rfc2217" | "telnet" | "raw";

/** What a program does not read. More, and it is let go: a hole in the middle would be worse for it than a new begin. */
const BACKLOG_BYTES = 256 * 1024;
/** So long it may read nothing at all. */
const STALE_MS = 30_000;
const CHECK_MS = 10_000;
const LINGER_MS = 1_000;

export class ListenerClient implements Viewer {
  private readonly socket: Socket;
  private readonly kind: ListenerKind;
  private readonly mayAsk: boolean;
  private readonly console: string;
  private readonly reader = new TelnetReader();
  private readonly negotiation = new Negotiation(
    [OPTION.binary, OPTION.echo, OPTION.goAhead, OPTION.comPort],
    [OPTION.binary, OPTION.goAhead, OPTION.comPort],
  );
  private readonly comPort: ComPort;
  private session: Session | null = null;
  private suspended = false;
  private heldBack: Uint8Array[] = [];
  private tookMs = performance.now();
  private modemTold = false;

  constructor(socket: Socket, kind: ListenerKind, console: string, mayAsk: boolean) {
    this.socket = socket;
    this.kind = kind;
    this.console = console;
    this.mayAsk = mayAsk;
    this.comPort = new ComPort(this.lineControl());
  }

  begin(session: Session): void {
    const { socket } = this;
    this.session = session;
    const check = setInterval(() => this.checkTaking(), CHECK_MS);
    socket.on("data", (bytes: Uint8Array) => this.received(bytes));
    socket.on("drain", () => {
      this.tookMs = performance.now();
    });
    socket.once("end", () => this.finish());
    // A program that goes away in the middle is its own business.
    socket.on("error", () => socket.destroy());
    socket.once("close", () => {
      clearInterval(check);
      session.leave("lost");
    });
    if (this.kind === "telnet") socket.write(this.negotiation.begin([OPTION.comPort]));
    if (this.kind === "rfc2217") socket.write(this.negotiation.begin());
  }

  data(_offset: number, bytes: Uint8Array): void {
    const copy = Uint8Array.from(this.kind === "raw" ? bytes : escapeTelnet(bytes));
    this.session?.shown(bytes.length);
    if (this.suspended) {
      this.heldBack.push(copy);
      if (this.heldBack.reduce((sum, { length }) => sum + length, 0) > BACKLOG_BYTES) this.letGo("session.slow");
      return;
    }
    if (this.socket.writableLength === 0) this.tookMs = performance.now();
    this.socket.write(copy);
    if (this.socket.writableLength > BACKLOG_BYTES) this.letGo("session.slow");
  }

  tell(): void {
    // A program understands no words; the ledger and `towpath status` tell people.
  }

  room(): void {
    this.socket.resume();
  }

  modem(): void {
    if (this.kind === "rfc2217" && this.modemTold) this.write(this.comPort.modemChanged());
  }

  end(): void {
    this.socket.destroySoon();
  }

  private received(bytes: Uint8Array): void {
    if (this.kind === "raw") this.type(bytes);
    else for (const item of this.reader.push(bytes)) this.item(item);
    if (this.session?.roomy() === false) this.socket.pause();
  }

  private item(item: ReturnType<TelnetReader["push"]>[number]): void {
    switch (item.type) {
      case "data":
        return this.type(item.bytes);
      case "negotiate":
        return this.negotiate(item.verb, item.option);
      case "break":
        if (this.mayType()) this.session?.send("break", true);
        return;
      case "are-you-there":
        return this.write(Buffer.from(`\r\n[console ${this.console}]\r\n`));
      case "sub":
        if (item.option === OPTION.comPort && this.kind === "rfc2217") this.write(this.comPort.heard(item.bytes));
        return;
    }
  }

  private negotiate(verb: "will" | "wont" | "do" | "dont", option: number): void {
    // A plain telnet listener has no line to set.
    const known = option !== OPTION.comPort || this.kind === "rfc2217";
    this.write(known ? this.negotiation.heard(verb, option) : REFUSING.heard(verb, option));
    this.reader.binary = this.negotiation.themOn(OPTION.binary);
    if (this.modemTold || !this.negotiation.themOn(OPTION.comPort)) return;
    this.modemTold = true;
    this.write(this.comPort.modemChanged(true));
  }

  private type(bytes: Uint8Array): void {
    const { session } = this;
    if (session === null || !this.mayAsk) return;
    const may = this.mayType();
    // It must not believe that this was typed.
    if (!may || !session.type(bytes)) this.letGo(may ? "console.missing" : "lease.held");
  }

  /** A program takes the right to type with its first byte, where nobody has it. */
  private mayType(): boolean {
    const { session } = this;
    if (session === null || !this.mayAsk) return false;
    if (!session.mayType()) session.ask("claim");
    return session.mayType();
  }

  /** It has said all that it wanted: that is typed, and the answer shown, before the end. */
  private finish(): void {
    setTimeout(() => {
      if (this.session?.pending() === true && !this.socket.destroyed) return this.finish();
      this.session?.leave("left");
      this.socket.end();
    }, LINGER_MS);
  }

  private letGo(how: string): void {
    if (how.startsWith("session.")) this.session?.missed(this.socket.writableLength);
    this.session?.leave(how);
    this.socket.destroy();
  }

  private checkTaking(): void {
    if (this.socket.writableLength > 0 && performance.now() - this.tookMs > STALE_MS) this.letGo("session.stale");
  }

  private write(bytes: Uint8Array): void {
    if (bytes.length > 0) this.socket.write(bytes);
  }

  private lineControl(): LineControl {
    const outgoing = { dtr: true, rts: true };
    let breakOn = false;
    const settings = (): LineSettings => this.session?.line() ?? NO_LINE;
    const modem = (): LineStatus["modem"] => this.session?.modem() ?? null;
    return {
      settings,
      setLine: (wanted) => (this.mayType() ? (this.session?.setLine(wanted) ?? settings()) : settings()),
      holdBreak: (on) => {
        if (!on || this.mayType()) breakOn = this.session?.holdBreak(on) ?? false;
        return breakOn;
      },
      breakOn: () => breakOn,
      outgoing: () => outgoing,
      setModem: (lines) => {
        if (!this.mayType()) return;
        this.session?.setModem(lines);
        Object.assign(outgoing, lines);
      },
      modem,
      purge: (what) => {
        if (what !== "sent") this.heldBack = [];
        if (what !== "received") this.session?.dropTyped();
      },
      suspend: (on) => {
        this.suspended = on;
        if (on) return;
        for (const bytes of this.heldBack) this.socket.write(bytes);
        this.heldBack = [];
      },
    };
  }
}

const REFUSING = new Negotiation([], []);
const NO_LINE: LineSettings = {
  baudRate: 9_600,
  framing: { dataBits: 8, parity: "none", stopBits: 1 },
  flow: "none",
};
