import { runScenarios } from "./run-scenarios.ts";
import { siteScenarios } from "./scenarios/site.ts";
import { LAID, smoke } from "./scenarios/smoke.ts";
import { layOutSite } from "./site.ts";
import { startPi } from "./start-pi.ts";

/** `npm run test:pi`: scenarios on the emulated Raspberry Pi 3B. */
const site = await layOutSite("arm64", "pi3-optocoupler-8ch", false);
await runScenarios({
  kind: "pi",
  start: (options) => startPi({ ...options, files: { ...LAID, ...site.files } }),
  scenarios: [...smoke, ...siteScenarios(site)],
  end: site.end,
});
