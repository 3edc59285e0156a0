import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Guest, Pin, StartOptions } from "./guest.ts";
import { vmImage } from "./image/vm-image.ts";
import { type Hardware, startMachine, type Wiring } from "./machine.ts";

/** The MAC addresses by which the guest names its cards: `ctl0`, `eth0`, `wwan0`. */
const MAC = { control: "52:54:00:be:00:01", primary: "52:54:00:be:00:02", lte: "52:54:00:be:00:03" };

function args({ image, disk, console, kernelArgs, networks }: Wiring): readonly string[] {
  const words = ["console=ttyS0", "quiet", "root=/dev/vda", "mitigations=off", "nokaslr", "tsc=reliable"];
  return [
    ...["-machine", "q35,usb=off", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "1024", "-nodefaults"],
    ...["-smp", `${Math.min(4, Math.max(2, availableParallelism()))}`],
    ...["-kernel", join(image, "vmlinuz"), "-initrd", join(image, "initrd")],
    ...["-append", [...words, "random.trust_cpu=on", ...kernelArgs].join(" ")],
    ...["-serial", `file:${console}`, "-device", "virtio-rng-pci"],
    ...["-drive", `file=${disk},format=qcow2,if=none,id=d0`, "-device", "virtio-blk-pci,drive=d0"],
    ...networks.flatMap((network) => ["-netdev", network]),
    // First, so that the kernel calls it eth0 itself: udev cannot give a card a name that another one still has.
    ...["-device", `virtio-net-pci,netdev=nprimary,id=primary,mac=${MAC.primary},romfile=`],
    ...["-device", `virtio-net-pci,netdev=nctl,mac=${MAC.control},romfile=`],
    ...["-device", "qemu-xhci,id=xhci,p2=8,p3=4"],
    ...["-device", `usb-net,bus=xhci.0,port=8,netdev=nlte,id=lte,mac=${MAC.lte}`],
  ];
}

const CHIP = "pinctrl-bcm2711";
const PINS_SCRIPT = `chip=$(gpiodetect | sed -n 's/^\\(gpiochip[0-9]*\\) \\[${CHIP}\\].*/\\1/p')
gpioinfo -c "$chip"
for line in /run/gpio-sim-pi/sim_gpio*; do echo "level \${line##*sim_gpio} $(<"$line/value")"; done`;

/** The simulated chip's other side, where a relay would be; only the directions are asked of gpiolib. */
async function pins(guest: Pick<Guest, "expect">): Promise<readonly Pin[]> {
  const text = await guest.expect(PINS_SCRIPT);
  const levels = new Map([...text.matchAll(/^level (\d+) ([01])$/gm)].map(([, line, level]) => [line, level]));
  const found = [...text.matchAll(/^\s*line\s+(\d+):.*?\s(input|output)\b/gm)].map(
    ([, line = "", mode]): Pin => ({
      line: Number(line),
      level: levels.get(line) === "1" ? 1 : 0,
      mode: mode === "output" ? "output" : "input",
    }),
  );
  if (found.length === 0 || levels.size === 0)
    throw new Error(`the simulated chip does not answer:\n${text.slice(0, 500)}`);
  return found;
}

/** Starts the x86-64 machine with the simulated GPIO header; builds its image first when there is none. */
export function startVm(options?: StartOptions): Promise<Guest> {
  const hardware: Hardware = {
    ...{ kind: "vm", program: "qemu-system-x86_64", image: vmImage(), chip: CHIP, bootLimitMs: 180_000, args, pins },
    usb: { bus: "xhci.0", portName: (port) => `${port}` },
  };
  return startMachine(hardware, options);
}
