import { type Board, type Moment, opensNcAtBoot, outletWhile, type Product } from "../../src/config/board.ts";
import { bootPins } from "../../src/config/boot-pins.ts";
import { HEADER_PINS } from "../../src/config/header.ts";
import { PIS, PRODUCTS, piPart, product, shippedBoard } from "./shipped.ts";

/** The tables of `wiring.md` that follow from `boards/`. */

type Contact = "nc" | "no";

/** One section for each relay product: what it can carry, where each wire goes, what to know. */
export function pinTables(): string {
  return PRODUCTS.map((name) => pinTable(product(name))).join("\n\n");
}

function pinTable(one: Product): string {
  const board = shippedBoard(`pi4-${one.name}`);
  const names = PIS.map((pi) => `\`${pi}-${one.name}\``).join(", ");
  return [
    `### ${one.vendor}: ${one.product}`,
    "",
    `\`board:\` ${names}. Load: ${one.load}. Isolation: ${one.isolation}. Supply: ${one.supply}.`,
    "",
    `![The header's pins that ${one.product} uses](boards/drawings/header-${one.name}.svg)`,
    "",
    ...supplyRows(one),
    ...table(
      ["relay", "header pin", "line", "while the Pi starts", "load on NC"],
      Object.entries(board.relays).map(([number, relay]) => [
        number,
        relay.pin === null ? "expander" : `${relay.pin}`,
        relay.pin === null ? `port ${relay.line.slice(1)}` : relay.line,
        relay.pull === "none" ? relay.while.booting : `pulled ${relay.pull}: ${relay.while.booting}`,
        opensNcAtBoot(relay) === null ? "yes" : "**refused**",
      ]),
    ),
    "",
    ...table(
      ["input", "header pin", "line", "load is fed when the line is"],
      Object.entries(board.inputs).map(([key, input]) => [
        key,
        `${input.pin}`,
        input.line,
        `${input.present} (${input.bias})`,
      ]),
    ),
    "",
    "For the firmware's `config.txt` (with all relays in use; see step 5):",
    "",
    "```ini",
    bootPins({ ...board, name: `PI-${one.name}` }, Object.keys(board.relays).map(Number)).trimEnd(),
    "```",
    "",
    ...one.notes.map((text) => `- ${text}`),
    ...(one.reckoned.length === 0 ? [] : [`- Reckoned, not read: ${one.reckoned.join(". Also: ")}.`]),
    `- Read in: ${one.source}.`,
  ].join("\n");
}

function supplyRows(one: Product): string[] {
  const wires = Object.entries(one.supplyWires);
  if (wires.length === 0) return [];
  const rows = wires.map(([terminal, pin]) => [terminal, `${pin}`, HEADER_PINS[pin - 1] ?? ""]);
  return [...table(["module's terminal", "header pin", "carries"], rows), ""];
}

/** In the order in which a person meets them. */
const MOMENTS: readonly (readonly [Moment, heading: string])[] = [
  ["off", "Pi has no power"],
  ["booting", "Pi gets power, starts"],
  ["rebooting", "Pi restarts"],
  ["crashed", "program crashed or killed"],
];

/** What the names of the Pis stand for, and what their 3.3 V does. */
export function piList(): string {
  const rail = { kept: "stays", lost: "goes away", unknown: "may go away (nothing found that tells)" };
  return PIS.map(piPart)
    .map((pi) => `- \`${pi.name}\`: ${pi.model}. During a restart its 3.3 V ${rail[pi.rail3v3.rebooting]}.`)
    .join("\n");
}

/** What the outlets do while nobody is there to command them, for a load on this contact. */
export function momentsTable(contact: Contact): string {
  const rows = PRODUCTS.flatMap((name) => {
    const boards = PIS.map((pi) => shippedBoard(`${pi}-${name}`));
    const groups = new Map<string, string[]>();
    for (const board of boards) {
      for (const [number, cells] of relayCells(board, contact)) {
        const key = cells.join("|");
        groups.set(key, [...(groups.get(key) ?? []), `${board.parts?.pi.name ?? ""}:${number}`]);
      }
    }
    return [...groups].map(([cells, members]) => [name, piNames(members), relayNumbers(members), ...cells.split("|")]);
  });
  return table(["product", "Pi", "relays", ...MOMENTS.map(([, heading]) => heading)], rows).join("\n");
}

function relayCells(board: Board, contact: Contact): [number: string, cells: string[]][] {
  return Object.entries(board.relays).flatMap(([number, relay]): [string, string[]][] => {
    if (contact === "nc" && opensNcAtBoot(relay) !== null) return [];
    return [[number, MOMENTS.map(([moment]) => outletWhile(relay, contact, moment))]];
  });
}

function piNames(members: readonly string[]): string {
  const pis = [...new Set(members.map((member) => member.split(":")[0] ?? ""))];
  return pis.length === PIS.length ? "all" : pis.join(", ");
}

function relayNumbers(members: readonly string[]): string {
  const numbers = [...new Set(members.map((member) => Number(member.split(":")[1])))].sort((a, b) => a - b);
  const runs: [first: number, last: number][] = [];
  for (const number of numbers) {
    const run = runs.at(-1);
    if (run !== undefined && run[1] === number - 1) run[1] = number;
    else runs.push([number, number]);
  }
  return runs.map(([first, last]) => (first === last ? `${first}` : `${first}–${last}`)).join(", ");
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [row(heads), `|${heads.map(() => "---").join("|")}|`, ...rows.map(row)];
}
