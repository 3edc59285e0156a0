import { EventEmitter } from "node:events";
import five from "johnny-five";

/** Relays over johnny-five, whatever drives the lines beneath. Nothing moves by making or closing a bank. */

/** The lines of a board, by relay number from 1. `high` is the electrical level. A line that is not to be had throws. */
export interface Lines {
  readonly count: number;
  read(relay: number): boolean;
  write(relay: number, high: boolean): void;
}

export interface RelayBank {
  /** Read back from the lines: relay number to energised. A relay whose line cannot be read is not in it. */
  levels(): Record<number, boolean>;
  /** Drives a relay and reads its line back. */
  set(relay: number, energised: boolean): { energised: boolean | null; fault: string | null };
}

const OUTPUT = 1;

/**
 * johnny-five's view of the lines. It must find `pins` at construction, and its name decides about Arduino specials,
 * so it is none of theirs. A write to a pin is a level; a change of mode never is.
 */
class LineIo extends EventEmitter {
  readonly name = "towpath";
  readonly MODES = { INPUT: 0, OUTPUT, ANALOG: 2, PWM: 3, SERVO: 4 };
  readonly HIGH = 1;
  readonly LOW = 0;
  readonly isReady = true;
  readonly analogPins: number[] = [];
  readonly pins: { supportedModes: number[]; mode: number; value: number; report: number; analogChannel: number }[];
  private readonly lines: Lines;

  constructor(lines: Lines) {
    super();
    this.lines = lines;
    this.pins = Array.from({ length: lines.count + 1 }, (_, relay) => ({
      supportedModes: relay === 0 ? [] : [OUTPUT],
      mode: OUTPUT,
      value: 0,
      report: 0,
      analogChannel: 127,
    }));
  }

  normalize(pin: number | string): number {
    const relay = Number(pin);
    if (!Number.isInteger(relay) || relay < 1 || relay > this.lines.count)
      throw new Error(`the board has no relay ${pin}`);
    return relay;
  }

  /** The line is an output already, at the level it had. */
  pinMode(): void {
    return undefined;
  }

  digitalWrite(relay: number, value: number): void {
    this.lines.write(relay, value === 1);
  }

  digitalRead(relay: number, take: (value: number) => void): void {
    take(this.lines.read(relay) ? 1 : 0);
  }
}

/**
 * @param polarity the line level at which a relay is energised.
 * @param relays those that outlets use; each gets its johnny-five `Relay`, told the level that the line really has.
 */
export function createRelayBank(lines: Lines, polarity: "high" | "low", relays: readonly number[]): RelayBank {
  // johnny-five's own handler would end the process without a flush, hence `sigint: false` (its types lack it).
  const options = { io: new LineIo(lines), repl: false, debug: false, sigint: false };
  const board = new five.Board(options);
  board.on("error", (error: unknown) => {
    throw error;
  });
  const energised = (relay: number) => lines.read(relay) === (polarity === "high");
  const drive = (relay: five.Relay, on: boolean) => (on ? relay.close() : relay.open());
  const made = new Map<number, five.Relay>();
  /** The first time that its line can be read: johnny-five believes a new relay open until it is told. */
  const relayOf = (pin: number): five.Relay => {
    const before = made.get(pin);
    if (before !== undefined) return before;
    const is = energised(pin);
    // "NC" is johnny-five's word for an inverted line; our contacts are decided elsewhere.
    const relay = new five.Relay({ pin, type: polarity === "high" ? "NO" : "NC", board });
    drive(relay, is);
    made.set(pin, relay);
    return relay;
  };
  const level = (pin: number): [number, boolean][] => {
    try {
      relayOf(pin);
      return [[pin, energised(pin)]];
    } catch {
      return [];
    }
  };
  for (const pin of relays) level(pin);
  return {
    levels: () => Object.fromEntries(relays.flatMap(level)),
    set(pin, on) {
      if (!relays.includes(pin)) return { energised: null, fault: `no relay ${pin} was configured` };
      try {
        drive(relayOf(pin), on);
        const is = energised(pin);
        return {
          energised: is,
          fault: is === on ? null : `line of relay ${pin} reads back ${is ? "energised" : "released"}`,
        };
      } catch (error) {
        return { energised: null, fault: error instanceof Error ? error.message : String(error) };
      }
    },
  };
}
