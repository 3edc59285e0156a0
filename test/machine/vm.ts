import { runScenarios } from "./run-scenarios.ts";
import { LAID, smoke } from "./scenarios/smoke.ts";
import { startVm } from "./start-vm.ts";

/** `npm run test:vm`: scenarios on the x86-64 machine with a simulated GPIO header. */
await runScenarios({ kind: "vm", start: (options) => startVm({ ...options, files: LAID }), scenarios: smoke });
