import type { SiteConfig } from "../../src/config/config.ts";
import { inputOf } from "../../src/core/plan.ts";
import { type Facts, findService, type Service, settingIn, systemdVersion } from "./facts.ts";
import { type Finding, finding, ok } from "./finding.ts";

/** The relay lines: whether they are there, whether they are ours, and what they do when the controller goes. */
export function lineFindings(facts: Facts, config: SiteConfig): Finding[] {
  const service = findService(facts.files, config);
  const running = [serviceFinding(service, config)];
  if (config.board.parts === null) return [...running, ok("lines", "the board is simulated: there are no lines")];
  if (Object.keys(config.plan.outlets).length === 0)
    return [...running, ok("lines", "no outlets are configured: no line is used")];
  return [...running, ...chipFindings(facts, config), ...heldFindings(facts, config), releaseFinding(facts, config)];
}

function serviceFinding(service: Service | null, config: SiteConfig): Finding {
  if (service === null) {
    const todo = "Start it: systemctl start towpath; if it ends at once: journalctl -u towpath";
    return finding("note", "service", `no controller runs on ${config.data}`, todo);
  }
  if (service.env === null) {
    return finding("note", "service", `process ${service.pid} runs the site; of whom is not told`, "Use sudo.");
  }
  if (service.env.NOTIFY_SOCKET !== undefined)
    return ok("service", `process ${service.pid} runs under systemd as ${service.unit ?? "a service"}`);
  const where = service.unit === null ? "under systemd" : `as a service of its own (it is in ${service.unit})`;
  const todo = "Run it as the service towpath (Type=notify): nothing starts it again when it hangs or crashes.";
  return finding("warn", "service", `process ${service.pid} runs the site, but not ${where}`, todo);
}

interface UsedLine {
  readonly chip: string;
  readonly line: string;
  readonly what: string;
}

function usedLines({ plan, board }: SiteConfig): UsedLine[] {
  const relays = Object.values(plan.outlets).flatMap(({ name, relay }) => {
    const wire = board.relays[relay];
    return wire === undefined ? [] : [{ chip: wire.chip, line: wire.line, what: `relay ${relay} of ${name}` }];
  });
  const inputs = Object.values(plan.outlets).flatMap(({ name, observe }) => {
    const input = inputOf(observe);
    const wire = input === null ? undefined : board.inputs[input];
    return wire === undefined ? [] : [{ chip: wire.chip, line: wire.line, what: `input ${input} of ${name}` }];
  });
  return [...relays, ...inputs];
}

function chipFindings(facts: Facts, config: SiteConfig): Finding[] {
  const chips = facts.chips();
  if (chips === null) {
    const todo = "Compare it by hand: gpiodetect (package gpiod).";
    return [finding("note", "lines.chip", "this kernel does not tell the labels of its gpiochips in files", todo)];
  }
  const found = chips.map(({ label }) => label).join(", ") || "none";
  const labels = [...new Set(usedLines(config).map(({ chip }) => chip))];
  return labels.map((label) => {
    const fits = chips.filter((chip) => chip.label === label).length;
    if (fits === 1) return ok("lines.chip", `the gpiochip ${label} is there`);
    if (fits > 1)
      return finding("bad", "lines.chip", `${fits} gpiochips are labelled ${label}`, "Remove the overlay of one.");
    const todo = "Is `board:` the board that is there? An expander needs its dtoverlay in config.txt.";
    return finding("bad", "lines.chip", `no gpiochip is labelled ${label}; there are: ${found}`, todo);
  });
}

/** The controller's own name on its lines begins so. */
const OURS = /^towpath/;

function heldFindings(facts: Facts, config: SiteConfig): Finding[] {
  const held = facts.heldLines();
  if (held === null) return [];
  const others = usedLines(config).flatMap(({ chip, line, what }) =>
    held
      .filter((one) => one.chip === chip && one.line === line && !OURS.test(one.consumer))
      .map(({ consumer }) =>
        finding("bad", "lines.held", `${line} (${what}) is held by "${consumer}"`, "Stop that program or overlay."),
      ),
  );
  return others.length > 0 ? others : [ok("lines.held", "no line of this site is held by another program")];
}

/** What the relays do when nobody holds their lines: the kernel decides, and systemd's store can keep them held. */
function releaseFinding(facts: Facts, config: SiteConfig): Finding {
  const check = "lines.release";
  const { pi, product } = config.board.parts ?? {};
  if (product?.chip !== undefined)
    return ok(check, `the relays hang on an expander (${product.chip.label}): the Pi's kernel does not decide there`);
  if (facts.files.read(pi?.persist ?? "") === "Y")
    return ok(check, "this kernel leaves a line as it is when its holder goes");
  const service = findService(facts.files, config);
  if (service?.env == null)
    return finding(
      "note",
      check,
      `this kernel turns a line into an input when its holder goes; whether systemd holds the lines is not told`,
      "Look again while the service runs, as root.",
    );
  if (!hasStore(service)) return dropsFinding(check, config);
  const version = systemdVersion(facts.files) ?? 0;
  const keeps = settingIn(service.unitText, "FileDescriptorStorePreserve");
  if (version >= 254 && (keeps === "yes" || keeps === "true"))
    return ok(check, "systemd holds the lines over a crash, a restart and a stop");
  const what = "systemd holds the lines over a crash and a restart, but a stop lets them go: energised relays drop";
  const todo =
    version >= 254
      ? "Set FileDescriptorStorePreserve=yes in the unit; until then restart, do not stop."
      : `systemd ${version} cannot keep them; use systemctl restart, never stop and start.`;
  return finding("warn", check, what, todo);
}

/** systemd tells since version 254; before, only the unit does. */
function hasStore({ env, unitText }: Service): boolean {
  return Number(env?.FDSTORE ?? settingIn(unitText, "FileDescriptorStoreMax") ?? 0) > 0;
}

function dropsFinding(check: string, config: SiteConfig): Finding {
  const cut = Object.values(config.plan.outlets).filter(({ contact }) => contact === "no");
  const loses = cut.map(({ name }) => name).join(", ");
  const what = "nobody holds the lines when the controller goes: energised relays drop";
  const todo = "Run it as the service towpath with FileDescriptorStoreMax= in its unit.";
  return cut.length > 0
    ? finding("bad", check, `${what}, and ${loses} (NO) lose power`, `${todo} Or wire these loads to NC.`)
    : finding("warn", check, `${what}, so an outlet that is off comes on`, todo);
}
