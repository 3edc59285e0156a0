import { runScenarios } from "./run-scenarios.ts";
import { consoleScenarios } from "./scenarios/consoles.ts";
import { siteScenarios } from "./scenarios/site.ts";
import { LAID, smoke } from "./scenarios/smoke.ts";
import { torture } from "./scenarios/torture.ts";
import { verdictScenarios } from "./scenarios/verdicts.ts";
import { layOutSite } from "./site.ts";
import { startVm } from "./start-vm.ts";

/** `npm run test:vm`: scenarios on the x86-64 machine with a simulated GPIO header. */
const site = await layOutSite("amd64", "pi4-optocoupler-8ch");
await runScenarios({
  kind: "vm",
  start: (options) => startVm({ ...options, files: { ...LAID, ...site.files } }),
  smoke,
  scenarios: siteScenarios(site, [...verdictScenarios(site), ...consoleScenarios(site), torture(site, 3)]),
  end: site.end,
});
