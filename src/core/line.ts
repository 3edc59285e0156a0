/** How a serial line is set: what two ends must agree on. */
export interface LineSettings {
  readonly baudRate: number;
  readonly framing: {
    readonly dataBits: 5 | 6 | 7 | 8;
    readonly parity: "none" | "even" | "odd";
    readonly stopBits: 1 | 2;
  };
  readonly flow: "none" | "rtscts" | "xonxoff";
}

/** `9600 8n1`, with the flow control behind it where there is one. */
export function lineText({ baudRate, framing, flow }: LineSettings): string {
  const { dataBits, parity, stopBits } = framing;
  return `${baudRate} ${dataBits}${parity[0]}${stopBits}${flow === "none" ? "" : ` ${flow}`}`;
}

export function sameLine(one: LineSettings, other: LineSettings): boolean {
  return lineText(one) === lineText(other);
}

/** A piece of a named sequence: a BREAK, a pause, or text; times in ms. */
export type SequenceStep = { readonly breakMs: number } | { readonly waitMs: number } | { readonly text: string };

export interface LineSequence {
  readonly name: string;
  readonly steps: readonly SequenceStep[];
  /** What it does to the device, for people. */
  readonly what: string;
  /** It can stop or restart the device: whoever sends it says yes first. */
  readonly confirm: boolean;
}

/** Waits while something is typed, for devices that lose what comes too fast; ms. */
export interface Pacing {
  readonly charMs: number;
  readonly lineMs: number;
}
