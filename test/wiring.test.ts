import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { generatedFiles, wiringPage } from "./wiring/generated.ts";
import { headerDrawing } from "./wiring/header-drawing.ts";
import { BOARDS, PRODUCTS, SETS, shippedBoard } from "./wiring/shipped.ts";

const ROOT = join(BOARDS, "..");
function textsOf(drawing: string): Map<string, { x: number; y: number }> {
  const found = drawing.matchAll(/<text x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)</g);
  return new Map([...found].map(([, x, y, words]) => [words ?? "", { x: Number(x), y: Number(y) }]));
}

const page = readFileSync(join(ROOT, "wiring.md"), "utf8");

describe("the wiring page", () => {
  it.each(generatedFiles().map(({ path, text }) => [path, text]))(
    "%s is what boards/ gives (else: npm run wiring)",
    (path, text) => {
      expect(text.length).toBeGreaterThan(1000);
      expect(readFileSync(join(ROOT, path), "utf8")).toBe(text);
    },
  );

  it("a wire that moves in boards/ would show: the tables are really written anew", () => {
    expect(page).toContain("| 1 | 29 | GPIO5 |");
    expect(wiringPage(page.replaceAll("GPIO5", "GPIO7"))).toContain("| 1 | 29 | GPIO5 |");
    expect(() => wiringPage("a page without markers")).toThrow("wiring.md has no");
  });

  it("every board of every product is named, and every drawing is shown", () => {
    for (const name of SETS) expect(page).toContain(`\`${name}\``);
    const drawings = readdirSync(join(BOARDS, "drawings")).filter((file) => file.endsWith(".svg"));
    expect(drawings.length).toBeGreaterThan(PRODUCTS.length);
    for (const file of drawings) expect(page).toContain(`(boards/drawings/${file})`);
  });

  it("no link of the page leads nowhere", () => {
    const links = [...page.matchAll(/\]\(([^)#]+)(#[^)]*)?\)/g)].flatMap(([, to]) =>
      to?.startsWith("http") ? [] : [to ?? ""],
    );
    expect(links.length).toBeGreaterThan(5);
    expect(links.filter((to) => !existsSync(join(ROOT, to)))).toEqual([]);
    const headings = [...page.matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) =>
      title
        .toLowerCase()
        .replaceAll(/[^\w -]/g, "")
        .replaceAll(" ", "-"),
    );
    const inner = [...page.matchAll(/\]\(#([^)]+)\)/g)].map(([, to = ""]) => to);
    expect(inner.length).toBeGreaterThan(10);
    expect(inner.filter((to) => !headings.includes(to))).toEqual([]);
  });

  it("a wire stands in the drawing beside its pin, on its side of the header", () => {
    for (const name of PRODUCTS) {
      const words = textsOf(headerDrawing(name));
      const board = shippedBoard(`pi4-${name}`);
      const wires = [
        ...Object.entries(board.relays).map(([number, { line, pin }]) => ({ label: `relay ${number} · ${line}`, pin })),
        ...Object.entries(board.inputs).map(([key, { line, pin }]) => ({ label: `input ${key} · ${line}`, pin })),
      ].filter(({ pin }) => pin !== null);
      expect(wires.length).toBeGreaterThan(5);
      for (const { label, pin } of wires) {
        const [text, number] = [words.get(label), words.get(`${pin}`)];
        expect([label, Math.abs((text?.y ?? 0) - (number?.y ?? 99)) < 2]).toEqual([label, true]);
        expect([label, (text?.x ?? 0) < (number?.x ?? 0)]).toEqual([label, (pin ?? 0) % 2 === 1]);
      }
    }
  });

  it("drawings need nothing from elsewhere and are readable on dark pages", () => {
    for (const file of readdirSync(join(BOARDS, "drawings"))) {
      const drawing = readFileSync(join(BOARDS, "drawings", file), "utf8");
      expect([file, /prefers-color-scheme: dark/.test(drawing), /<script|@import|url\(|href/.test(drawing)]).toEqual([
        file,
        true,
        false,
      ]);
    }
  });
});
