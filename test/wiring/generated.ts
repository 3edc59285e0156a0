import { readFileSync } from "node:fs";
import { join } from "node:path";
import { headerDrawing } from "./header-drawing.ts";
import { BOARDS, PRODUCTS } from "./shipped.ts";
import { momentsTable, piList, pinTables } from "./tables.ts";

/** Everything in the checkout that is written from `boards/`. */

const ROOT = join(BOARDS, "..");

export interface GeneratedFile {
  /** From the top of the checkout. */
  readonly path: string;
  /** What it should hold. */
  readonly text: string;
}

export function generatedFiles(): GeneratedFile[] {
  const drawings = PRODUCTS.map((name) => ({ path: `boards/drawings/header-${name}.svg`, text: headerDrawing(name) }));
  return [{ path: "wiring.md", text: wiringPage(readFileSync(join(ROOT, "wiring.md"), "utf8")) }, ...drawings];
}

/** The page with its generated parts as `boards/` gives them now; the rest is as it was. */
export function wiringPage(page: string): string {
  const parts = {
    pis: piList(),
    pins: pinTables(),
    "moments-nc": momentsTable("nc"),
    "moments-no": momentsTable("no"),
  };
  return Object.entries(parts).reduce((text, [name, content]) => between(text, name, content), page);
}

function between(page: string, name: string, content: string): string {
  const [begin, end] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`wiring.md has no ${begin} … ${end}`);
  return `${page.slice(0, from + begin.length)}\n\n${content}\n\n${page.slice(to)}`;
}
