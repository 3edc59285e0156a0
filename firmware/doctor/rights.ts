import type { SiteConfig } from "../../src/config/config.ts";
import type { MachineFiles } from "../../src/linux/machine-files.ts";
import { boundPorts, controllerPid } from "../bound-ports.ts";
import type { Facts } from "./facts.ts";
import { type Finding, finding, ok } from "./finding.ts";

/** Whether the controller's user may open what this site needs. */
export function rightsFindings(facts: Facts, config: SiteConfig): Finding[] {
  const { files } = facts;
  const user = controllerUser(files, config);
  const nodes = neededNodes(facts, config);
  const denied = nodes.filter((node) => !mayUse(files, node, user));
  if (denied.length === 0)
    return nodes.length === 0 ? [] : [ok("rights", `${user.name} may open all ${nodes.length} devices it needs`)];
  return denied.map((node) => {
    const group = groupName(files, Number(files.stat(node)?.gid ?? 0n));
    const todo = remedy(files, node, user, group);
    return finding("bad", "rights", `${user.name} may not open ${node} (group ${group})`, todo);
  });
}

/** Joining the group helps where the group may open it; nobody is told to join root. */
function remedy(files: MachineFiles, node: string, user: User, group: string): string {
  const byGroup = group !== "root" && (Number(files.stat(node)?.mode ?? 0n) & 0o060) === 0o060;
  if (byGroup) return `sudo usermod -aG ${group} ${user.name}, then sudo systemctl restart towpath`;
  const meant = node.includes("gpiochip") ? "gpio" : "dialout";
  return `Install Towpath's udev rule (GROUP="${meant}", MODE="0660"), then: sudo udevadm control --reload && sudo udevadm trigger`;
}

interface User {
  readonly name: string;
  readonly uid: number;
  readonly groups: readonly number[];
}

/** Of the controller that runs; else the service's, where it is installed; else whoever asks. */
function controllerUser(files: MachineFiles, config: SiteConfig): User {
  const pid = controllerPid(config, files);
  const own = userOf(files, `/proc/${pid ?? "self"}/status`);
  const entry = entries(files, "/etc/passwd").find(([name]) => name === "towpath");
  if (pid !== null || entry === undefined) return own;
  const groups = entries(files, "/etc/group").filter((group) => group[3]?.split(",").includes("towpath"));
  return { name: "towpath", uid: Number(entry[2]), groups: [entry[3], ...groups.map((group) => group[2])].map(Number) };
}

function userOf(files: MachineFiles, status: string): User {
  const text = files.read(status) ?? "";
  const numbers = (name: string) =>
    (new RegExp(`^${name}:\\s*(.*)$`, "m").exec(text)?.[1] ?? "").split(/\s+/).filter(Boolean).map(Number);
  // Real, effective, saved, file system: the second one opens files.
  const uid = numbers("Uid")[1] ?? -1;
  const name = entries(files, "/etc/passwd").find((entry) => Number(entry[2]) === uid)?.[0];
  return { name: name ?? `user ${uid}`, uid, groups: [numbers("Gid")[1] ?? -1, ...numbers("Groups")] };
}

function neededNodes({ files, adapters }: Facts, config: SiteConfig): string[] {
  const ports = boundPorts(config, adapters(), files).flatMap(({ located }) => (located.ok ? [located.node] : []));
  const onPins = config.board.parts !== null && Object.keys(config.plan.outlets).length > 0;
  const chips = onPins ? files.names("/dev").filter((name) => /^gpiochip\d+$/.test(name)) : [];
  return [...new Set([...chips.map((name) => `/dev/${name}`), ...ports])].filter((node) => files.stat(node) !== null);
}

function mayUse(files: MachineFiles, node: string, user: User): boolean {
  const stat = files.stat(node);
  if (stat === null || user.uid === 0) return true;
  const { mode, uid, gid } = stat;
  // The first class that fits decides, as in open(2).
  const shift = Number(uid) === user.uid ? 6 : user.groups.includes(Number(gid)) ? 3 : 0;
  return ((Number(mode) >> shift) & 0o6) === 0o6;
}

function groupName(files: MachineFiles, gid: number): string {
  return entries(files, "/etc/group").find((entry) => Number(entry[2]) === gid)?.[0] ?? String(gid);
}

function entries(files: MachineFiles, file: string): string[][] {
  return (files.read(file) ?? "").split("\n").map((line) => line.split(":"));
}
