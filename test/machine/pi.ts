import { runScenarios } from "./run-scenarios.ts";
import { LAID, smoke } from "./scenarios/smoke.ts";
import { startPi } from "./start-pi.ts";

/** `npm run test:pi`: scenarios on the emulated Raspberry Pi 3B. */
await runScenarios({ kind: "pi", start: (options) => startPi({ ...options, files: LAID }), scenarios: smoke });
