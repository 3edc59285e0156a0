import { requirePrograms, Unavailable } from "./requirements.ts";
import { siteScenarios } from "./scenarios/site.ts";
import { tortureRestarts } from "./scenarios/torture.ts";
import { layOutSite } from "./site.ts";
import { startPi } from "./start-pi.ts";
import { startVm } from "./start-vm.ts";

/** `npm run torture:restart -- --on vm|pi`: the installed package on a machine with a real gpiochip driver. */
export async function tortureOnMachine(
  kind: "vm" | "pi",
  rounds: number,
  seed: number,
): Promise<Record<string, unknown>> {
  try {
    requirePrograms(kind);
  } catch (thrown) {
    if (!(thrown instanceof Unavailable)) throw thrown;
    process.stderr.write(`*** SKIPPED, nothing was tried on the ${kind}: ${thrown.message} ***\n`);
    return { ok: true, on: kind, restarts: 0, kills: 0, edges: 0, skipped: thrown.message };
  }
  const site = await (kind === "vm"
    ? layOutSite("amd64", "pi4-optocoupler-8ch")
    : layOutSite("arm64", "pi3-optocoupler-8ch"));
  const guest = await (kind === "vm" ? startVm : startPi)({ files: site.files });
  try {
    await siteScenarios(site)[0]?.run(guest);
    const { restarts, edges } = await tortureRestarts(guest, site, rounds, seed);
    return { ok: edges === 0, on: kind, restarts, kills: restarts, edges };
  } finally {
    await guest.stop();
    await site.end();
  }
}
