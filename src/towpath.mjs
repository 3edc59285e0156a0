#!/usr/bin/env node
// The command `towpath`: compiled JavaScript where it was built, the TypeScript of the checkout otherwise.
// Everything runs in this process: a wrapper process would cost 50 MB for nothing.
import { existsSync } from "node:fs";

const built = new URL("./towpath.js", import.meta.url);
if (existsSync(built)) {
  await import(built.href);
} else {
  const { register } = await import("tsx/esm/api");
  register();
  await import(new URL("./towpath.ts", import.meta.url).href);
}
