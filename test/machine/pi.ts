import { runScenarios } from "./run-scenarios.ts";
import { siteScenarios } from "./scenarios/site.ts";
import { LAID, smoke } from "./scenarios/smoke.ts";
import { torture } from "./scenarios/torture.ts";
import { layOutSite } from "./site.ts";
import { startPi } from "./start-pi.ts";

/** `npm run test:pi`: scenarios on the emulated Raspberry Pi 3B. */
const site = await layOutSite("arm64", "pi3-optocoupler-8ch");
await runScenarios({
  kind: "pi",
  start: (options) => startPi({ ...options, files: { ...LAID, ...site.files } }),
  smoke,
  scenarios: siteScenarios(site, [torture(site, 2)]),
  end: site.end,
});
