import { existsSync } from "node:fs";
import type { SiteConfig } from "../src/config/config.ts";
import { UsageError } from "../src/operator/cli/command.ts";
import { note } from "../src/operator/cli/out.ts";
import { loadConfig } from "./config-file.ts";

const INSTALLED = "/etc/towpath/site.yaml";

/**
 * The config that a command about this machine compares it with. A command that looks goes on without one, and says
 * what it therefore cannot tell; a file that was named and cannot be used is an error.
 */
export function findConfig(named: string | undefined, without: string): SiteConfig | null {
  const file = named ?? INSTALLED;
  if (named === undefined && !existsSync(file)) {
    note(`no ${INSTALLED}: ${without}; name another with --config`);
    return null;
  }
  const loaded = loadConfig(file, { insecureLab: true, mayFallBack: false });
  if (loaded.ok) return loaded.config;
  const [first] = loaded.problems;
  const place = first?.where === file ? "" : `${first?.where}: `;
  const why = `${file}: ${place}${first?.what} (towpath controller --config ${file} --check tells all)`;
  if (named !== undefined) throw new UsageError(why);
  note(`${why}; ${without}`);
  return null;
}
