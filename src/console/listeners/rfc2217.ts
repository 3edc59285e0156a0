import type { LineSettings } from "../../core/line.ts";
import type { LineStatus } from "../port.ts";
import { OPTION, subnegotiation } from "./telnet.ts";

/**
 * The COM port option of telnet (RFC 2217), the site's side. Each command is answered with what is so afterwards, whether
 * it was done or not: that is how a client learns of a refusal, and clients wait for the answer.
 */

/** What a client may do to the line. A watcher's control changes nothing and tells the truth. */
export interface LineControl {
  settings(): LineSettings;
  /** As the line is then: the same as before where it was refused. */
  setLine(settings: LineSettings): LineSettings;
  /** Whether a BREAK is on now. */
  holdBreak(on: boolean): boolean;
  breakOn(): boolean;
  /** Outgoing lines as they are; on where the adapter does not tell. */
  outgoing(): { readonly dtr: boolean; readonly rts: boolean };
  setModem(lines: { readonly dtr?: boolean; readonly rts?: boolean }): void;
  modem(): LineStatus["modem"];
  /** Drops what waits for the client, for the device, or both. */
  purge(what: "received" | "sent" | "both"): void;
  /** The client's own buffer is full, or not any more. */
  suspend(on: boolean): void;
}

const COMMAND = {
  signature: 0,
  baudRate: 1,
  dataSize: 2,
  parity: 3,
  stopSize: 4,
  control: 5,
  modemState: 7,
  suspend: 8,
  resume: 9,
  lineStateMask: 10,
  modemStateMask: 11,
  purge: 12,
} as const;
/** Added to a command's number in the answer. */
const ANSWER = 100;
const SIGNATURE = Buffer.from("towpath");
const PARITIES = [null, "none", "odd", "even"] as const;
const PURGES = [null, "received", "sent", "both"] as const;
const MODEM_BITS = { cts: 0x10, dsr: 0x20, ring: 0x40, dcd: 0x80 } as const;

export class ComPort {
  private readonly line: LineControl;
  private modemMask = 255;
  private modemTold = 0;

  constructor(line: LineControl) {
    this.line = line;
  }

  /** Bytes to answer a subnegotiation of the option with; none where nothing is due. */
  heard(bytes: Uint8Array): Uint8Array {
    const [command, ...values] = bytes;
    if (command === undefined) return new Uint8Array();
    const answer = this.answer(command, values);
    return answer === null ? new Uint8Array() : reply(command, answer);
  }

  /** What to tell when the incoming modem lines changed; none where the client does not want it or nothing did. */
  modemChanged(always = false): Uint8Array {
    const state = stateOf(this.line.modem()) & 0xf0;
    const changed = (state ^ this.modemTold) & this.modemMask & 0xf0;
    if (changed === 0 && !always) return new Uint8Array();
    this.modemTold = state;
    // The low half says what changed; of the bell only that it ended.
    return reply(COMMAND.modemState, [state | (always ? 0 : changed >> 4)]);
  }

  private answer(command: number, values: readonly number[]): readonly number[] | null {
    const [value = 0] = values;
    switch (command) {
      case COMMAND.signature:
        return values.length === 0 ? [...SIGNATURE] : null;
      case COMMAND.baudRate:
        return this.baudRate(values);
      case COMMAND.dataSize:
      case COMMAND.parity:
      case COMMAND.stopSize:
        return [this.framing(command, value)];
      case COMMAND.control:
        return [this.control(value)];
      case COMMAND.suspend:
      case COMMAND.resume:
        this.line.suspend(command === COMMAND.suspend);
        return null;
      case COMMAND.lineStateMask:
        // Told are no line errors: what was lost is in the captured text's gaps.
        return [0];
      case COMMAND.modemStateMask:
        this.modemMask = value;
        return [value];
      case COMMAND.purge: {
        const what = PURGES[value];
        if (what) this.line.purge(what);
        return [value];
      }
      default:
        return null;
    }
  }

  private baudRate(values: readonly number[]): readonly number[] {
    const wanted = values.length >= 4 ? Buffer.from(values).readUInt32BE(0) : 0;
    const now = this.line.settings();
    const { baudRate } =
      wanted === 0 || wanted === now.baudRate ? now : this.line.setLine({ ...now, baudRate: wanted });
    const answer = Buffer.alloc(4);
    answer.writeUInt32BE(baudRate >>> 0);
    return [...answer];
  }

  private framing(command: number, value: number): number {
    const now = this.line.settings();
    const wanted = withFraming(now, command, value);
    const { framing } = wanted === null ? now : this.line.setLine(wanted);
    if (command === COMMAND.dataSize) return framing.dataBits;
    return command === COMMAND.parity ? PARITIES.indexOf(framing.parity) : framing.stopBits;
  }

  /** The same number back says yes, another one of the same group says how it is instead. */
  private control(value: number): number {
    const { line } = this;
    if (value <= 3) {
      const flow = FLOWS[value];
      const now = line.settings();
      return FLOWS.indexOf((flow && flow !== now.flow ? line.setLine({ ...now, flow }) : now).flow);
    }
    if (value <= 6) return (value === 4 ? line.breakOn() : line.holdBreak(value === 5)) ? 5 : 6;
    if (value <= 9) {
      if (value !== 7) line.setModem({ dtr: value === 8 });
      return line.outgoing().dtr ? 8 : 9;
    }
    if (value <= 12) {
      if (value !== 10) line.setModem({ rts: value === 11 });
      return line.outgoing().rts ? 11 : 12;
    }
    // Flow control of the other direction is always the same; whoever asks for what we do not have hears that.
    return 13 + Math.max(1, FLOWS.indexOf(line.settings().flow));
  }
}

const FLOWS = [null, "none", "xonxoff", "rtscts"] as const;

function withFraming(now: LineSettings, command: number, value: number): LineSettings | null {
  const { framing } = now;
  if (command === COMMAND.dataSize) {
    const dataBits = value === 5 || value === 6 || value === 7 || value === 8 ? value : null;
    return dataBits === null || dataBits === framing.dataBits ? null : { ...now, framing: { ...framing, dataBits } };
  }
  if (command === COMMAND.parity) {
    const parity = PARITIES[value] ?? null;
    return parity === null || parity === framing.parity ? null : { ...now, framing: { ...framing, parity } };
  }
  const stopBits = value === 1 || value === 2 ? value : null;
  return stopBits === null || stopBits === framing.stopBits ? null : { ...now, framing: { ...framing, stopBits } };
}

function stateOf(modem: LineStatus["modem"]): number {
  if (modem === null) return MODEM_BITS.cts | MODEM_BITS.dsr | MODEM_BITS.dcd;
  return (Object.keys(MODEM_BITS) as (keyof typeof MODEM_BITS)[]).reduce(
    (state, name) => (modem[name] ? state | MODEM_BITS[name] : state),
    0,
  );
}

function reply(command: number, values: readonly number[]): Uint8Array {
  return subnegotiation(OPTION.comPort, Uint8Array.from([command + ANSWER, ...values]));
}
