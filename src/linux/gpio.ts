import { closeSync, constants, openSync, readdirSync, realpathSync } from "node:fs";
import { ioctl } from "./ioctl.ts";

/**
 * GPIO lines through the kernel's character device, uAPI v2 (linux/gpio.h; docs.kernel.org, "GPIO Character Device
 * Userspace API"). One line per request: each line has an owner and a life of its own.
 */

const CHIP_INFO = 0x8044b401;
const LINE_INFO = 0xc100b405;
const LINE_REQUEST = 0xc250b407;
const LINE_SET_CONFIG = 0xc110b40d;
const LINE_GET_VALUES = 0xc010b40e;
const LINE_SET_VALUES = 0xc010b40f;

/** Sizes of the kernel's structs in bytes. */
export const SIZES = { chipInfo: 68, lineInfo: 256, lineRequest: 592, lineConfig: 272, lineValues: 16 } as const;

const FLAG = { used: 1n, input: 4n, output: 8n, pullUp: 256n, pullDown: 512n, biasDisabled: 1024n } as const;
const ATTRIBUTE = { outputValues: 2, debounce: 3 } as const;
/** Without its terminating zero. */
const CONSUMER_MAX = 31;
const CONFIG_AT = 256 + 32;
const FD_AT = SIZES.lineRequest - 4;

export interface Chip {
  /** `/dev/gpiochipN`: the number moves between kernels, so nobody keeps it. */
  readonly path: string;
  readonly label: string;
  readonly lines: number;
}

export interface LineInfo {
  readonly name: string;
  readonly offset: number;
  readonly used: boolean;
  readonly consumer: string;
  readonly output: boolean;
}

export type LineConfig =
  /** As it is: no direction is set. */
  | { readonly kind: "as-is" }
  | { readonly kind: "output"; readonly high: boolean }
  | {
      readonly kind: "input";
      readonly bias: "pull-up" | "pull-down" | "disabled" | "as-is";
      /** 0: none. */
      readonly debounceMs: number;
    };

/** What the kernel offers: the real one here, a simulated one in `sim`. */
export interface GpioKernel {
  chips(): Chip[];
  lines(chip: Chip): LineInfo[];
  /** The line's own descriptor; while it is open nobody else gets the line. */
  request(chip: Chip, offset: number, consumer: string, config: LineConfig): number;
  configure(fd: number, config: LineConfig): void;
  read(fd: number): boolean;
  write(fd: number, high: boolean): void;
  release(fd: number): void;
}

export const kernelGpio: GpioKernel = {
  chips() {
    const paths = readdirSync("/dev")
      .filter((name) => /^gpiochip\d+$/.test(name))
      .map((name) => realpathSync(`/dev/${name}`));
    return [...new Set(paths)].sort().map((path) => withChip(path, (fd) => chipInfo(fd, path)));
  },
  lines: (chip) => withChip(chip.path, (fd) => Array.from({ length: chip.lines }, (_, offset) => lineInfo(fd, offset))),
  request(chip, offset, consumer, config) {
    return withChip(chip.path, (fd) => {
      const request = packRequest(offset, consumer, config);
      ioctl(fd, LINE_REQUEST, request, `line ${offset} of ${chip.label}`);
      return request.readInt32LE(FD_AT);
    });
  },
  configure(fd, config) {
    ioctl(fd, LINE_SET_CONFIG, packConfig(config), "configuring a line");
  },
  read(fd) {
    const values = packValues(false);
    ioctl(fd, LINE_GET_VALUES, values, "reading a line");
    return (values.readBigUInt64LE(0) & 1n) === 1n;
  },
  write(fd, high) {
    ioctl(fd, LINE_SET_VALUES, packValues(high), "driving a line");
  },
  release: closeSync,
};

function withChip<T>(path: string, use: (fd: number) => T): T {
  const fd = openSync(path, constants.O_RDWR);
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

function chipInfo(fd: number, path: string): Chip {
  const info = Buffer.alloc(SIZES.chipInfo);
  ioctl(fd, CHIP_INFO, info, path);
  return { path, label: text(info, 32, 32), lines: info.readUInt32LE(64) };
}

function lineInfo(fd: number, offset: number): LineInfo {
  const info = Buffer.alloc(SIZES.lineInfo);
  info.writeUInt32LE(offset, 64);
  ioctl(fd, LINE_INFO, info, `line ${offset}`);
  const flags = info.readBigUInt64LE(72);
  const has = (flag: bigint) => (flags & flag) !== 0n;
  return {
    ...{ name: text(info, 0, 32), consumer: text(info, 32, 32), offset },
    ...{ used: has(FLAG.used), output: has(FLAG.output) },
  };
}

function text(buffer: Buffer, at: number, length: number): string {
  return buffer.toString("utf8", at, at + length).replace(/\0.*$/s, "");
}

export function packRequest(offset: number, consumer: string, config: LineConfig): Buffer {
  const request = Buffer.alloc(SIZES.lineRequest);
  request.writeUInt32LE(offset, 0);
  request.write(consumer.slice(0, CONSUMER_MAX), 256, "utf8");
  packConfig(config).copy(request, CONFIG_AT);
  request.writeUInt32LE(1, CONFIG_AT + SIZES.lineConfig);
  request.writeInt32LE(-1, FD_AT);
  return request;
}

/** `struct gpio_v2_line_config`: flags, then attributes for the lines of a mask; ours always has the one line. */
export function packConfig(config: LineConfig): Buffer {
  const packed = Buffer.alloc(SIZES.lineConfig);
  packed.writeBigUInt64LE(flagsOf(config), 0);
  const attribute = attributeOf(config);
  if (attribute === null) return packed;
  packed.writeUInt32LE(1, 8);
  packed.writeUInt32LE(attribute.id, 32);
  packed.writeBigUInt64LE(attribute.value, 40);
  packed.writeBigUInt64LE(1n, 48);
  return packed;
}

function flagsOf(config: LineConfig): bigint {
  if (config.kind === "as-is") return 0n;
  if (config.kind === "output") return FLAG.output;
  const bias = { "pull-up": FLAG.pullUp, "pull-down": FLAG.pullDown, disabled: FLAG.biasDisabled, "as-is": 0n };
  return FLAG.input | bias[config.bias];
}

/** The level goes with the direction, in one call: there is no moment between them. */
function attributeOf(config: LineConfig): { id: number; value: bigint } | null {
  if (config.kind === "output") return { id: ATTRIBUTE.outputValues, value: config.high ? 1n : 0n };
  if (config.kind === "as-is" || config.debounceMs === 0) return null;
  return { id: ATTRIBUTE.debounce, value: BigInt(config.debounceMs * 1000) };
}

function packValues(high: boolean): Buffer {
  const values = Buffer.alloc(SIZES.lineValues);
  values.writeBigUInt64LE(high ? 1n : 0n, 0);
  values.writeBigUInt64LE(1n, 8);
  return values;
}
