import type { SitePlan } from "../src/core/plan.ts";
import { deviceNamed, devicesFedBy } from "../src/core/plan.ts";
import type { Link } from "../src/link/link.ts";
import type { Shipper } from "../src/link/shipper.ts";

/** The power of a device moves: what its consoles say around that goes out, and dead connections are found out. */
export function powerMoves(
  plan: SitePlan,
  relay: number,
  { link, shipper }: { readonly link: Pick<Link, "alert">; readonly shipper: Pick<Shipper, "incident"> },
): void {
  link.alert();
  const outlets = Object.values(plan.outlets).filter((outlet) => outlet.relay === relay);
  const devices = devicesFedBy(
    plan,
    outlets.map(({ name }) => name),
  );
  for (const device of devices)
    for (const console of deviceNamed(plan, device)?.consoles ?? []) shipper.incident(console);
}
