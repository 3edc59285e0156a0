// `npm run build`: the compiled tree in dist/ (or the folder that is named), which runs without tsx.
import { spawnSync } from "node:child_process";
import { cpSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const out = process.argv[2] ?? `${root}dist`;

rmSync(out, { recursive: true, force: true });
const tsc = ["tsc", "-p", ".ci/tsconfig.build.json", "--outDir", out];
const { status } = spawnSync("npx", tsc, { cwd: root, stdio: ["ignore", 2, 2] });
if (status !== 0) process.exit(status ?? 1);
cpSync(`${root}src/towpath.mjs`, `${out}/src/towpath.mjs`);
cpSync(`${root}boards`, `${out}/boards`, { recursive: true });
