// `npm run build`: the compiled tree in dist/, which runs without tsx.
import { spawnSync } from "node:child_process";
import { cpSync, rmSync } from "node:fs";

rmSync("dist", { recursive: true, force: true });
const { status } = spawnSync("npx", ["tsc", "-p", ".ci/tsconfig.build.json"], { stdio: "inherit" });
if (status !== 0) process.exit(status ?? 1);
cpSync("src/towpath.mjs", "dist/src/towpath.mjs");
cpSync("boards", "dist/boards", { recursive: true });
