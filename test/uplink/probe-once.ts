import { blame } from "../../src/core/uplink.ts";
import { type ProbePlan, probe } from "../../src/uplink/probes.ts";

/** One round where it is started: in a network namespace of a test. */
const [plan, proc] = process.argv.slice(2).map((text) => JSON.parse(text));
const resolvConf = proc as string;
const round = await probe(plan as ProbePlan, () => null, { sysfs: "/sys/class/net", proc: "/proc/net", resolvConf });
process.stdout.write(`${JSON.stringify({ blame: blame(round), ...round })}\n`);
process.exit(0);
