import type { Board } from "../../src/config/board.ts";
import { HEADER_PINS } from "../../src/config/header.ts";
import { shippedBoard } from "./shipped.ts";

/** The drawing of the 40-pin header with the wires of one relay product. */

const ROW = 24;
const TOP = 96;
const LEFT = 300;
const GAP = 34;
const WIDTH = 2 * LEFT + GAP;
const HEIGHT = TOP + 20 * ROW + 56;

type Role = "relay" | "input" | "supply" | "bus" | "rest";

interface Pin {
  readonly role: Role;
  readonly label: string;
}

/** Plain SVG, readable on light and dark pages, with the meaning in words as well as in colour. */
export function headerDrawing(name: string): string {
  const board = shippedBoard(`pi4-${name}`);
  const product = board.parts?.product;
  const title = `${product?.vendor} ${product?.product}`.replace(/, on jumper wires$/, "");
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(title)}: pins of the 40-pin header">`,
    STYLE,
    `<rect class="page" width="${WIDTH}" height="${HEIGHT}" rx="8"/>`,
    words(WIDTH / 2, 28, "middle", "ink title", name),
    words(WIDTH / 2, 50, "middle", "faint", "The header from above. Pin 1 is at the end of the SD card,"),
    words(WIDTH / 2, 68, "middle", "faint", "even pins run along the edge of the board."),
    `<rect class="block" x="${LEFT - 17}" y="${TOP - 14}" width="${GAP + 34}" height="${20 * ROW + 4}" rx="4"/>`,
    ...HEADER_PINS.map((_, at) => pinDrawing(at + 1, pinOn(board, at + 1))),
    words(WIDTH / 2, HEIGHT - 34, "middle", "faint", "edge of the board at the right · SD card at the top"),
    words(WIDTH / 2, HEIGHT - 14, "middle", "faint", footnote(board)),
    "</svg>",
    "",
  ].join("\n");
}

function pinOn(board: Board, pin: number): Pin {
  const carries = HEADER_PINS[pin - 1] ?? "";
  for (const [number, relay] of Object.entries(board.relays)) {
    if (relay.pin === pin) return { role: "relay", label: `relay ${number} · ${carries}` };
  }
  for (const [key, input] of Object.entries(board.inputs)) {
    if (input.pin === pin) return { role: "input", label: `input ${key} · ${carries}` };
  }
  const product = board.parts?.product;
  const supply = Object.entries(product?.supplyWires ?? {}).find(([, to]) => to === pin);
  if (supply !== undefined) return { role: "supply", label: `${supply[0]} of the module · ${carries}` };
  if (product?.chip !== undefined && (pin === 3 || pin === 5))
    return { role: "bus", label: `expander, ${pin === 3 ? "SDA" : "SCL"} · ${carries}` };
  return { role: "rest", label: carries };
}

function pinDrawing(pin: number, { role, label }: Pin): string {
  const odd = pin % 2 === 1;
  const x = odd ? LEFT : LEFT + GAP;
  const y = TOP + Math.floor((pin - 1) / 2) * ROW;
  const shape = `<circle class="${role}" cx="${x}" cy="${y}" r="9"/>`;
  const number = words(x, y + 3.5, "middle", role === "rest" ? "faint small" : "on small", `${pin}`);
  const aside = odd ? x - 26 : x + 26;
  return `${shape}${number}${words(aside, y + 4.5, odd ? "end" : "start", role === "rest" ? "faint" : "ink strong", label)}`;
}

function footnote(board: Board): string {
  if (board.parts?.product.chip !== undefined)
    return "The relays hang on the card's expander: only its two bus wires are here.";
  const wired = Object.keys(board.parts?.product.supplyWires ?? {}).length > 0;
  return wired
    ? "Each filled pin is one jumper wire; inputs only where a contact is wired."
    : "The board sits on the header; inputs are wires of your own.";
}

const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

function words(x: number, y: number, anchor: string, style: string, text: string): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" class="${style}">${escaped(text)}</text>`;
}

const STYLE = `<style>
text { font-family: system-ui, "DejaVu Sans", Arial, sans-serif; font-size: 14px; }
.title { font-size: 18px; font-weight: 600; } .strong { font-weight: 600; } .small { font-size: 10px; }
.page { fill: #ffffff; } .ink { fill: #1b2530; } .faint { fill: #5b6672; } .on { fill: #ffffff; }
.block { fill: #eef1f4; stroke: #9aa5b1; }
.relay { fill: #b3261e; } .input { fill: #1a5fb4; } .supply, .bus { fill: #6a3d9a; } .rest { fill: #ffffff; stroke: #9aa5b1; }
@media (prefers-color-scheme: dark) {
.page { fill: #12171d; } .ink { fill: #e8ecf1; } .faint { fill: #9fabb8; } .on { fill: #10151b; }
.block { fill: #1e262f; stroke: #566472; }
.relay { fill: #ff8a80; } .input { fill: #82b4ff; } .supply, .bus { fill: #c9a4ec; } .rest { fill: #12171d; stroke: #566472; }
}
</style>`;
