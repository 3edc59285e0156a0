import { execFileSync } from "node:child_process";
import { describe, expect, it, vi } from "vitest";
import { createSweeper } from "../../src/console/sweeper.ts";
import { createTtyPort } from "../../src/console/tty-port.ts";
import { openPty } from "../pty.ts";

describe("another speed", () => {
  it("is the terminal's, what was said before is not flushed, and a speed that nobody lists is taken", async () => {
    const pty = openPty();
    let said = "";
    const port = createTtyPort(
      { locate: () => pty.path, baudRate: 9_600, framing: { dataBits: 8, parity: "none", stopBits: 1 }, flow: "none" },
      createSweeper(),
    );
    await new Promise<void>((resolve) =>
      port.start({ up: resolve, down: () => undefined, data: (bytes) => (said += Buffer.from(bytes).toString()) }),
    );
    pty.say("said before");
    expect(port.setLine({ ...port.settings(), baudRate: 250_000, flow: "xonxoff" })).toBe(true);
    expect(execFileSync("stty", ["-F", pty.path, "-a"]).toString()).toContain(" ixon ixoff");
    expect(port.settings().baudRate).toBe(250_000);
    await vi.waitFor(() => expect(said).toBe("said before"), 5_000);
    expect(port.setLine({ ...port.settings(), baudRate: 38_400, flow: "none" })).toBe(true);
    expect(execFileSync("stty", ["-F", pty.path, "-a"]).toString()).toMatch(/speed 38400 baud[\s\S]* -ixon -ixoff/);
    await port.stop();
    pty.close();
  });
});
