import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { generatedFiles } from "./generated.ts";
import { BOARDS } from "./shipped.ts";

/** `npm run wiring`: writes what follows from `boards/` into `wiring.md` and `boards/drawings/`. */

for (const { path, text } of generatedFiles()) {
  writeFileSync(join(BOARDS, "..", path), text);
  process.stdout.write(`${path}\n`);
}
