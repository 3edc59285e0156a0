import { readFileSync } from "node:fs";
import { join } from "node:path";
import { checkConfig, type SiteConfig } from "../../src/config/config.ts";

/** A site from a few lines of YAML; paths below the root of this machine. */
export function siteOf(yaml: string, more: { board?: string; data?: string } = {}): SiteConfig {
  const boards = join(import.meta.dirname, "../../boards");
  const head = `site: one\nfleet: acme\ndata: ${more.data ?? "/var/lib/towpath"}\nboard: ${more.board ?? "sim"}\n`;
  const checked = checkConfig(head + yaml, {
    resolve: (path) => path,
    readBoard: (name) => readFileSync(join(boards, `${name}.yaml`), "utf8"),
    readPart: (part) => readFileSync(join(boards, "parts", `${part}.yaml`), "utf8"),
    boards: [],
    insecureLab: false,
  });
  if (!checked.ok) throw new Error(JSON.stringify(checked.problems));
  return checked.config;
}
