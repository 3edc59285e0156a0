import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { type Board, type Pi, type Product, piSchema, productSchema, readBoard } from "../../src/config/board.ts";

/** The boards of this checkout, read as the controller reads them. */

export const BOARDS = join(import.meta.dirname, "../../boards");

/** The text of a file in `boards/`, named without its ending. */
export const boardText = (name: string): string => readFileSync(join(BOARDS, `${name}.yaml`), "utf8");
const part = (name: string): unknown => parse(boardText(`parts/${name}`));

const namesIn = (folder: string): string[] =>
  readdirSync(join(BOARDS, folder))
    .flatMap((file) => (file.endsWith(".yaml") ? [file.replace(".yaml", "")] : []))
    .sort();

const parts = namesIn("parts");
export const PIS: readonly string[] = parts.filter((name) => piSchema.safeParse(part(name)).success);
export const PRODUCTS: readonly string[] = parts.filter((name) => productSchema.safeParse(part(name)).success);
export const PARTS: readonly string[] = parts;
/** All boards with hardware. */
export const SETS: readonly string[] = namesIn(".").filter((name) => name !== "sim");

export const product = (name: string): Product => productSchema.parse(part(name));
export const piPart = (name: string): Pi => piSchema.parse(part(name));

export function shippedBoard(name: string): Board {
  const read = readBoard(parse(boardText(name)), part);
  if (!read.ok) throw new Error(`${name}: ${read.what}`);
  return read.board;
}
