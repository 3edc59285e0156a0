import { join } from "node:path";
import type { Guest, Pin, StartOptions } from "./guest.ts";
import { piImage } from "./image/pi-image.ts";
import { type Hardware, startMachine, type Wiring } from "./machine.ts";
import type { Qemu } from "./qemu.ts";

/** The Pi's one USB socket leads to a hub of eight: adapters in 1–5, then the three networks. */
const NETWORKS = [
  { id: "lte", port: 6, mac: "52:54:00:be:00:03" },
  { id: "primary", port: 7, mac: "52:54:00:be:00:02" },
  { id: "ctl", port: 8, mac: "52:54:00:be:00:01" },
] as const;

function args({ image, disk, console, kernelArgs, networks }: Wiring): readonly string[] {
  // A Pi has no clock: it is told the time once, when power comes, as its network would tell it a little later.
  const clock = `systemd.clock_usec=${Date.now()}000`;
  // A line that is let go becomes an input, unless told to stay: gpiolib's own trace does not tell.
  const freed = "kprobe_event=p:machine/gpio_freed,bcm2835_pmx_gpio_disable_free,line=$arg3:u32";
  const words = ["console=ttyAMA0,115200", "console=ttyS1,115200", "root=/dev/mmcblk0", clock, freed];
  return [
    ...["-M", "raspi3b", "-dtb", join(image, "pi.dtb"), "-accel", "tcg,thread=multi"],
    ...["-kernel", join(image, "vmlinuz"), "-initrd", join(image, "initrd")],
    ...["-append", [...words, ...kernelArgs].join(" ")],
    ...["-serial", "null", "-serial", `file:${console}`],
    ...["-drive", `file=${disk},format=qcow2,if=sd`],
    ...networks.flatMap((network) => ["-netdev", network]),
    ...["-device", "usb-hub,bus=usb-bus.0,port=1,id=hub"],
    ...NETWORKS.flatMap(({ id, port, mac }) => [
      ...["-device", `usb-net,bus=usb-bus.0,port=1.${port},netdev=n${id},id=${id},mac=${mac}`],
    ]),
  ];
}

/** Registers of the SoC (BCM2835 ARM Peripherals, chapter 6), as its processors see them. */
const GPFSEL0 = "0x3f200000";
const GPLEV0 = "0x3f200034";
const LINES = 54;

async function words(qemu: Qemu, address: string, count: number): Promise<readonly number[]> {
  const text = await qemu.monitor(`xp /${count}wx ${address}`);
  const found = [...text.matchAll(/ (0x[0-9a-f]{8})/g)].map(([, word]) => Number(word));
  if (found.length !== count) throw new Error(`qemu shows no registers at ${address}: ${text}`);
  return found;
}

/** Level and function of every pin, out of the registers: the guest takes no part in it. */
async function pins(_guest: unknown, qemu: Qemu): Promise<readonly Pin[]> {
  const [functions, levels] = [await words(qemu, GPFSEL0, 6), await words(qemu, GPLEV0, 2)];
  return Array.from({ length: LINES }, (_, line): Pin => {
    const select = ((functions[Math.floor(line / 10)] ?? 0) >> ((line % 10) * 3)) & 7;
    const level = ((levels[line >> 5] ?? 0) >>> (line & 31)) & 1;
    return { line, level: level === 1 ? 1 : 0, mode: select === 0 ? "input" : select === 1 ? "output" : "other" };
  });
}

/** Starts the emulated Raspberry Pi 3B; builds its image first when there is none. */
export function startPi(options?: StartOptions): Promise<Guest> {
  const hardware: Hardware = {
    ...{ kind: "pi", program: "qemu-system-aarch64", image: piImage(), chip: "pinctrl-bcm2835", args, pins },
    ...{ bootLimitMs: 400_000, usb: { bus: "usb-bus.0", portName: (port) => `1.${port}` } },
  };
  return startMachine(hardware, options);
}
