import { readSync, writeSync } from "node:fs";
import { onReadable } from "../../src/console/readiness.ts";
import { openPty } from "../pty.ts";

/** Terminals whose far end says again at once what it hears: told its number by a message, it answers with the paths. */
process.on("message", (count: number) => {
  const ptys = Array.from({ length: count }, openPty);
  const buffer = Buffer.alloc(4_096);
  for (const { masterFd } of ptys) {
    onReadable(masterFd, () => {
      try {
        const length = readSync(masterFd, buffer);
        writeSync(masterFd, buffer.subarray(0, length));
      } catch {
        // Nobody has it open yet.
      }
    });
  }
  // A far end that is not kept open would hang up whenever a program reopens its terminal.
  process.send?.(ptys.map(({ path }) => path));
});
process.once("disconnect", () => process.exit());
