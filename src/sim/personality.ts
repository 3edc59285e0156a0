import { formatDuration } from "../core/duration.ts";

/** What simulated devices say. Names beginning with `server` are Linux machines, the rest is network gear. */

const isServer = (name: string) => name.startsWith("server");

export const PANIC_TEXT = `
[  712.402113] BUG: unable to handle page fault for address: ffffa7c000018f90
[  712.402140] Oops: 0002 [#1] SMP NOPTI
[  712.402163] RIP: 0010:rx_ring_refill+0x1a4/0x3c0 [octeth]
[  712.402195] Call Trace: napi_poll net_rx_action __do_softirq irq_exit
[  712.402260] Kernel panic - not syncing: Fatal exception in interrupt
[  712.402288] ---[ end Kernel panic - not syncing: Fatal exception in interrupt ]---
`;

export function bootLog(name: string): string {
  return isServer(name) ? serverBoot(name) : networkBoot(name);
}

function stamped(lines: readonly string[]): string {
  return lines.map((line, index) => `[${(index * 0.173 + 0.0021).toFixed(6).padStart(12)}] ${line}\n`).join("");
}

function serverBoot(name: string): string {
  return `\nBoot loader 2.06: loading Linux 6.1.0 ...\nLoading initial ramdisk ...\n${stamped([
    "Linux version 6.1.0 (build@factory) #1 SMP PREEMPT_DYNAMIC",
    "Command line: root=LABEL=root ro console=ttyS0,115200n8",
    "Memory: 16318452K/16777216K available",
    "smp: Brought up 1 node, 8 CPUs",
    "ACPI: 9 tables acquired and loaded",
    "PCI: Using configuration type 1 for base access",
    "nvme nvme0: 8/0/0 default/read/poll queues",
    "EXT4-fs (nvme0n1p2): mounted filesystem with ordered data mode",
    `systemd[1]: Hostname set to <${name}>.`,
    "ixgbe 0000:03:00.0 eth0: NIC Link is Up 10 Gbps, Flow Control: RX/TX",
    "systemd[1]: Reached target Multi-User System.",
  ])}`;
}

function networkBoot(name: string): string {
  return `\nBootstrap 15.4(3)  compiled for ${name}\nDDR: testing 4096 MB ... ok\nFlash: 2 images, booting primary\n${stamped(
    [
      "decompressing image ######################################## [OK]",
      "platform: 24x1G, 4x10G, 2 PSU bays, 3 fans",
      "PSU 1: present, 230 VAC ok",
      "PSU 2: present, 230 VAC ok",
      "fan tray: 3 of 3 running",
      "loading configuration from flash:/startup.cfg",
      "port ge-0/0/1: link up, 1000 Mb/s full duplex",
      "port ge-0/0/2: link up, 1000 Mb/s full duplex",
      "port xe-0/1/0: link up, 10 Gb/s, optics -3.1 dBm",
      "bgp: session to 192.0.2.1 established after 4 s",
      "ospf: neighbour 192.0.2.9 full",
      `${name}: ready`,
    ],
  )}`;
}

const TALK = [
  "port ge-0/0/7: link down",
  "port ge-0/0/7: link up, 1000 Mb/s full duplex",
  "ntp: clock stepped by 0.4 ms",
  "bgp: 192.0.2.1 sent 14 prefixes",
  "fan 2: 4310 rpm",
  "temperature inlet 31 C, outlet 44 C",
  "dhcp: lease 10.20.0.57 renewed",
  "session: login on vty 0 from 10.20.0.9 closed",
];

export function chatter(_name: string, uptimeMs: number, random: () => number): string {
  const text = TALK[Math.floor(random() * TALK.length)] ?? TALK[0];
  return `\n[${(uptimeMs / 1_000).toFixed(6).padStart(12)}] ${text}\n`;
}

export function answerTo(name: string, line: string, uptimeMs: number): string {
  switch (line) {
    case "":
      return "";
    case "help":
    case "?":
      return "commands: show version, show uptime, show interfaces, echo TEXT, reload, exit\n";
    case "show version":
    case "uname -a":
      return `${name} simulated by towpath, release 15.4(3)\n`;
    case "show uptime":
    case "uptime":
      return `up ${formatDuration(uptimeMs)}\n`;
    case "show interfaces":
      return "ge-0/0/1  up    1000 Mb/s\nge-0/0/2  up    1000 Mb/s\nxe-0/1/0  up   10000 Mb/s\n";
    default:
      return line.startsWith("echo ") ? `${line.slice(5)}\n` : `unknown command: ${line.slice(0, 60)} (try help)\n`;
  }
}

/** What a Linux kernel says to the key after a BREAK on its console. */
export function answerToBreak(key: string): string {
  const what = SYSRQ[key];
  return what === undefined
    ? "\nsysrq: HELP : reboot(b) crash(c) sync(s) unmount(u) show-memory-usage(m)\n"
    : `\nsysrq: ${what}\n`;
}

const SYSRQ: Readonly<Record<string, string>> = {
  b: "Resetting",
  c: "Trigger a crash",
  s: "Emergency Sync",
  u: "Emergency Remount R/O",
  m: "Show Memory",
};
