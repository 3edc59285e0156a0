import { deviceNamed, outletNamed, type SitePlan } from "./plan.ts";

/** What a command is aimed at: a device, one outlet of a device, or an outlet by itself. */
export interface Target {
  readonly device: string | null;
  readonly outlet: string | null;
}

const NAME = "[a-z0-9][a-z0-9-]{0,62}";
const TARGET = new RegExp(`^(?:(${NAME})/)?(${NAME})?(?::(${NAME}))?$`);

/** Reads `device`, `device:outlet`, `:outlet`, each also behind `site/`. Null when it is none of them. */
export function parseTarget(text: string, site: string): Target | null {
  const found = TARGET.exec(text);
  if (found === null) return null;
  const [, named, device, outlet] = found;
  if (named !== undefined && named !== site) return null;
  if (device === undefined && outlet === undefined) return null;
  return { device: device ?? null, outlet: outlet ?? null };
}

/** The outlets that a target means, or null when the site has no such thing. */
export function resolveTarget(plan: SitePlan, target: Target): readonly string[] | null {
  if (target.device === null) {
    return target.outlet !== null && outletNamed(plan, target.outlet) ? [target.outlet] : null;
  }
  const device = deviceNamed(plan, target.device);
  if (device === undefined) return null;
  if (target.outlet === null) return device.outlets;
  return device.outlets.includes(target.outlet) ? [target.outlet] : null;
}

/** Several targets of one command, with a comma between. Null when one of them is no target. */
export function parseTargets(text: string, site: string): readonly Target[] | null {
  const targets = text.split(",").map((one) => parseTarget(one.trim(), site));
  return targets.every((one) => one !== null) ? targets : null;
}

export function targetText(targets: readonly Target[]): string {
  return targets.map(({ device, outlet }) => `${device ?? ""}${outlet === null ? "" : `:${outlet}`}`).join(",");
}
