import { existsSync } from "node:fs";
import { join } from "node:path";
import type { CliCommand } from "../src/operator/cli/command.ts";
import { EXIT, text, UsageError } from "../src/operator/cli/command.ts";
import { checkout } from "../src/operator/settings.ts";
import { serve } from "./cli-controller.ts";
import { runDemo } from "./demo.ts";

export const command: CliCommand = {
  usage: ["start [--port N]", "start --config site.yaml"],
  about: "The demo: a broker, a site with three simulated devices, an operator's key and trust, all on this machine.",
  examples: ["npm start", "npm start -- --port 1885", "npm start -- --config site.yaml"],
  options: { port: { type: "string" }, config: { type: "string" } },
  optionHelp: { port: "port of the demo's broker on 127.0.0.1", config: "run this site instead of the demo" },
  async run(args) {
    const configFile = text(args, "config");
    if (configFile !== undefined) return serve({ configFile, insecureLab: false, simTroubleMs: 0, quiet: false });
    // Installed, the demo would leave its keys and its settings in the system's folder, for everybody.
    if (!existsSync(join(checkout(), "firmware/demo.ts")))
      throw new UsageError("the demo runs from a checkout of the project: npm start. For a site: --config site.yaml");
    const port = Number(text(args, "port") ?? process.env.TOWPATH_DEMO_PORT ?? 18830);
    if (!Number.isInteger(port) || port < 1 || port > 65_535)
      throw new UsageError("--port wants a number from 1 to 65535");
    return (await runDemo(port)) ? EXIT.done : EXIT.usage;
  },
};
