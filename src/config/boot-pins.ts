import type { Board } from "./board.ts";

/**
 * The part of the firmware's `config.txt` that a board needs: its expander, and the lines of these relays at their
 * released level before the kernel runs. Empty where there is nothing to say.
 *
 * The firmware acts a few seconds after power is there, and again after each restart (Raspberry Pi documentation,
 * config.txt, `gpio`). It cannot hold a level through either, so a relay that is to stay energised over a restart must
 * not be among `relaysUsed`.
 */
export function bootPins(board: Board, relaysUsed: readonly number[]): string {
  if (board.parts === null) return "";
  const { chip } = board.parts.product;
  const expander = chip === undefined ? [] : ["dtparam=i2c_arm=on", `dtoverlay=${chip.overlay}`];
  const pins = [...new Set(relaysUsed)].flatMap((relay) => pinOf(board, relay)).sort((a, b) => a - b);
  const level = board.energised === "high" ? "dl" : "dh";
  const levels = pins.length === 0 ? [] : [...WARNING, `gpio=${pins.join(",")}=op,${level}`];
  const lines = [...expander, ...levels];
  return lines.length === 0 ? "" : `${[`# Towpath, board ${board.name}`, "[all]", ...lines].join("\n")}\n`;
}

const WARNING = [
  "# These relays are released as soon as the firmware runs: some seconds after power-on, and at each restart.",
  "# Nothing here holds a relay energised. Take out the number of a relay that is to stay as it was over a restart.",
];

/** The firmware's number of a relay's line; none where an expander holds it. */
function pinOf(board: Board, number: number): number[] {
  const relay = board.relays[number];
  if (relay === undefined) throw new Error(`the board ${board.name} has no relay ${number}`);
  const gpio = /^GPIO(\d+)$/.exec(relay.line)?.[1];
  return gpio === undefined ? [] : [Number(gpio)];
}
