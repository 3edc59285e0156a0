import { expect, it, onTestFinished, vi } from "vitest";
import type { ModemReport } from "../../src/core/modem.ts";
import { createSimModem } from "../../src/sim/modem.ts";

it("a simulated modem that hangs comes back when its power was away, and by nothing else", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const told: ModemReport[] = [];
  const no = () => Promise.reject(new Error("no"));
  const modem = createSimModem({
    ...{ modem: "auto", interface: "wwan0", profiles: [], privileged: { reauthoriseUsb: no, reboot: no } },
    told: (report) => void told.push(report),
  });
  modem.start();
  vi.advanceTimersByTime(5_000);
  expect(told.at(-1)).toMatchObject({ presence: "present", state: "connected" });
  modem.fault("hang");
  expect(await modem.take("reset")).toMatchObject({ result: "refused" });
  vi.advanceTimersByTime(60_000);
  expect(told.at(-1)?.presence).toBe("missing");
  modem.setPower(false);
  modem.setPower(true);
  vi.advanceTimersByTime(5_000);
  expect(told.at(-1)).toMatchObject({ presence: "present", state: "connected" });
  modem.stop();
});
