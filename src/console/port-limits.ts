/** How many adapters a machine carries: USB controllers end sooner than Linux does. */

interface Limit {
  readonly model: RegExp;
  readonly ports: number;
  readonly why: string;
}

const LIMITS: readonly Limit[] = [
  { model: /Raspberry Pi 5|Compute Module 5/, ports: 48, why: "more were never tried" },
  {
    model: /Raspberry Pi (4|400)|Compute Module 4/,
    ports: 32,
    why: "its USB controller takes 32 devices, hubs included, and failed with more than 34 FTDI ports: use adapters with four ports each",
  },
  { model: /Raspberry Pi Zero/, ports: 8, why: "it has one USB port and a slow processor; more were never tried" },
  {
    model: /Raspberry Pi (3|2)|Compute Module 3/,
    ports: 16,
    why: "one USB 2 bus carries all of them; more were never tried",
  },
];

/** What to know before so many consoles go on this machine; null where nothing speaks against it. */
export function tooManyPorts(model: string | null, consoles: number): string | null {
  const limit = LIMITS.find((one) => one.model.test(model ?? ""));
  const most = limit?.ports ?? 48;
  if (consoles <= most) return null;
  return `${consoles} consoles, and ${most} are supported on ${limit === undefined ? "one controller" : model}: ${limit?.why ?? "more were never tried"}`;
}
