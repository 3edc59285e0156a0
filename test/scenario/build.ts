import { execFileSync } from "node:child_process";
import { join } from "node:path";

/** Scenarios run the compiled tree, as a site does; the demo scenario runs the checkout. */
export function setup(): void {
  execFileSync("node", [".ci/build.mjs"], { cwd: join(import.meta.dirname, "../.."), stdio: "inherit" });
}
