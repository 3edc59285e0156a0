import type { CliCommand } from "./operator/cli/command.ts";
import { runCommand } from "./operator/cli/run.ts";

/** The command `towpath`: a verb, and what it needs is loaded then. */

const VERBS: Record<string, { summary: string; load: () => Promise<{ command: CliCommand }> }> = {
  status: { summary: "how a site is, and what it says it is", load: () => import("./operator/cli/status.ts") },
  power: {
    summary: "switch devices and outlets: on, off, cycle; lock, unlock, cancel, outcome",
    load: () => import("./operator/cli/power.ts"),
  },
  console: { summary: "type into a console, or watch it", load: () => import("./operator/cli/console.ts") },
  ssh: { summary: "log in at a site: a console, forwards, its machine", load: () => import("./operator/cli/ssh.ts") },
  log: { summary: "what a console said", load: () => import("./operator/cli/log.ts") },
  events: { summary: "what a site decided and what happened to it", load: () => import("./operator/cli/events.ts") },
  audit: {
    summary: "a site's ledger as evidence: export it, verify it offline",
    load: () => import("./operator/cli/audit.ts"),
  },
  collect: {
    summary: "the receiving side: store what sites ship, and say what is missing",
    load: async () => {
      const [{ collectCommand }, { lockFile }, { notify }] = await Promise.all([
        import("./operator/cli/collect.ts"),
        import("./linux/flock.ts"),
        import("./linux/notify.ts"),
      ]);
      return { command: collectCommand({ lockFile, notify }) };
    },
  },
  powerman: {
    summary: "let powerman, fence_powerman and NUT switch the devices of sites",
    load: () => import("./operator/cli/powerman.ts"),
  },
  trust: {
    summary: "who may do what: init, add, role, revoke, site, sign, push, show",
    load: () => import("./operator/cli/trust.ts"),
  },
  journal: {
    summary: "a site's journal on this machine: stat, verify",
    load: () => import("./operator/cli/journal.ts"),
  },
  sim: { summary: "faults of a simulated site, over its local socket", load: () => import("./operator/cli/sim.ts") },
  controller: {
    summary: "run or check one site",
    load: async () => {
      await import("../firmware/small-heap.ts");
      return import("../firmware/cli-controller.ts");
    },
  },
  ports: {
    summary: "the serial adapters of this machine, and how to name them",
    load: () => import("../firmware/cli-ports.ts"),
  },
  doctor: {
    summary: "what is wrong with this machine as a site, and what to do",
    load: () => import("../firmware/cli-doctor.ts"),
  },
  uplink: {
    summary: "the ways a site has to us: what is wrong with them, since when, and what was before",
    load: () => import("./operator/cli/uplink.ts"),
  },
  net: {
    summary: "what keeps the LTE path apart on this machine: set up, and say what was not so",
    load: () => import("../firmware/cli-net.ts"),
  },
  start: { summary: "the demo: a whole site on this machine", load: () => import("../firmware/cli-start.ts") },
};

process.exitCode = await runCommand(VERBS, process.argv.slice(2));
