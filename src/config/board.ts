import { z } from "zod";
import { HEADER_PINS, headerPin } from "./header.ts";
import { duration, name } from "./units.ts";

/**
 * Boards as data (`boards/`): a Raspberry Pi, a relay product and how they go together. What a relay does while nobody
 * drives its line follows from the Pi's reset pulls and the product's input, each known from a named source.
 */

/** What a relay does by itself. `unknown` is treated as the worst case. */
const relayState = z.enum(["held", "released", "energised", "unknown"]);
export type RelayState = z.infer<typeof relayState>;

/** How a fact is known: seen on hardware, seen on an emulated machine, or read in a named source. */
const known = {
  proven: z.enum(["hardware", "emulated", "read"]),
  source: z.string().min(1),
};

/** `GPIO17`, as the device tree names it; a chip without names takes `#3`, its offset. */
const lineName = z.string().regex(/^(#\d+|[A-Za-z][\w.-]{0,31})$/, { message: "a line is GPIO17, or #3 by offset" });
const pull = z.enum(["up", "down", "none"]);
export type Pull = z.infer<typeof pull>;

const wire = z.strictObject({
  line: lineName,
  /** Number on the 40-pin header, for people; checked against the line. Absent on an expander. */
  pin: z.int().min(1).max(40).optional(),
});
type Wire = z.infer<typeof wire>;

const input = z.strictObject({
  ...wire.shape,
  bias: z.enum(["pull-up", "pull-down", "disabled", "as-is"]).default("pull-up"),
  /** The level at which the load has power. */
  present: z.enum(["high", "low"]).default("low"),
  debounce: duration.default(20),
});

export const piSchema = z.strictObject({
  name,
  kind: z.literal("pi"),
  model: z.string(),
  /** Label of the header's gpiochip: never its number, which moves between kernels. */
  chip: z.string().min(1).max(31),
  pulls: z.strictObject({ up: z.array(lineName), down: z.array(lineName) }),
  /** Lines of the header that the Pi needs itself, and for what. */
  reserved: z.record(lineName, z.string()).default({}),
  /** Whether the header's 3.3 V stays while the machine restarts. */
  rail3v3: z.strictObject({ rebooting: z.enum(["kept", "lost", "unknown"]), ...known }),
  /** Module parameter that tells whether a released line keeps its level. */
  persist: z.string(),
  watchdogMaxMs: duration,
  ...known,
});
export type Pi = z.infer<typeof piSchema>;

export const productSchema = z.strictObject({
  name,
  kind: z.literal("relays"),
  product: z.string(),
  vendor: z.string(),
  energised: z.enum(["high", "low"]),
  isolation: z.string(),
  load: z.string(),
  supply: z.string(),
  /** Wires besides the lines, by the product's terminal, to a pin of the header; none where it sits on the header. */
  supplyWires: z.record(z.string(), z.int().min(1).max(40)).default({}),
  /** Only where the product has a gpiochip of its own (an I2C expander under its kernel driver). */
  chip: z.strictObject({ label: z.string().min(1).max(31), overlay: z.string() }).optional(),
  relays: z.record(z.string().regex(/^[1-9]\d?$/), wire),
  inputs: z.record(name, input).default({}),
  /** The relay by the pull on a line that nobody drives. */
  undriven: z.strictObject({ up: relayState, down: relayState, none: relayState }),
  /** The relay while the Pi's 3.3 V is gone and its 5 V is not. */
  railLost: relayState,
  /** The relay while the whole Pi has no power. */
  off: relayState,
  /** Where the product itself decides, whatever the Pi does: latching relays, expanders with a supply of their own. */
  while: z.partialRecord(z.enum(["booting", "rebooting"]), relayState).default({}),
  /** What no source says in words but follows from values that one gives, each with its reckoning. */
  reckoned: z.array(z.string()).default([]),
  notes: z.array(z.string()).default([]),
  ...known,
});
export type Product = z.infer<typeof productSchema>;

const setSchema = z.strictObject({
  name,
  kind: z.literal("gpiochip"),
  /** Name of a file in `boards/parts/`, or the part itself. */
  pi: z.union([name, piSchema]),
  relays: z.union([name, productSchema]),
  ...known,
});

const simulatedSchema = z.strictObject({
  name,
  kind: z.literal("simulated"),
  relays: z.int().min(1).max(64),
  inputs: z.int().min(0).max(64),
  energised: z.enum(["high", "low"]),
  while: z.record(z.enum(["off", "booting", "crashed", "rebooting"]), relayState),
  ...known,
});

const boardFile = z.discriminatedUnion("kind", [setSchema, simulatedSchema]);

export type Moment = "off" | "booting" | "crashed" | "rebooting";
export const MOMENTS: readonly Moment[] = ["off", "booting", "crashed", "rebooting"];

export interface RelayOnBoard {
  readonly line: string;
  readonly chip: string;
  readonly pin: number | null;
  readonly pull: Pull;
  readonly while: Readonly<Record<Moment, RelayState>>;
}

export interface InputOnBoard {
  readonly line: string;
  readonly chip: string;
  readonly pin: number | null;
  readonly bias: z.infer<typeof input>["bias"];
  readonly present: "high" | "low";
  readonly debounceMs: number;
}

export interface Board {
  readonly name: string;
  readonly kind: "simulated" | "gpiochip";
  readonly energised: "high" | "low";
  /** From relay 1 on. */
  readonly relays: Readonly<Record<number, RelayOnBoard>>;
  readonly inputs: Readonly<Record<string, InputOnBoard>>;
  readonly proven: "hardware" | "emulated" | "read";
  readonly source: string;
  /** Null on the simulated board. */
  readonly parts: { readonly pi: Pi; readonly product: Product } | null;
}

export type ReadBoard = { ok: true; board: Board } | { ok: false; what: string };

/** @param readPart value of a file in `boards/parts/`; undefined when there is none of that name. */
export function readBoard(value: unknown, readPart: (part: string) => unknown): ReadBoard {
  const parsed = boardFile.safeParse(value);
  if (!parsed.success) return wrong(parsed.error);
  if (parsed.data.kind === "simulated") return { ok: true, board: simulatedBoard(parsed.data) };
  const pi = partOf(piSchema, parsed.data.pi, readPart);
  if (!pi.ok) return pi;
  const product = partOf(productSchema, parsed.data.relays, readPart);
  if (!product.ok) return product;
  return assemble(parsed.data, pi.part, product.part);
}

function partOf<T extends object>(
  schema: z.ZodType<T>,
  part: string | T,
  readPart: (part: string) => unknown,
): { ok: true; part: T } | { ok: false; what: string } {
  if (typeof part !== "string") return { ok: true, part };
  const value = readPart(part);
  if (value === undefined) return { ok: false, what: `there is no part "${part}" in boards/parts` };
  const parsed = schema.safeParse(value);
  return parsed.success ? { ok: true, part: parsed.data } : wrong(parsed.error);
}

function wrong(error: z.ZodError): { ok: false; what: string } {
  const [issue] = error.issues;
  return { ok: false, what: `${issue?.path.join(".") || "the file"}: ${issue?.message}` };
}

function simulatedBoard(raw: z.infer<typeof simulatedSchema>): Board {
  const relay = (number: number): RelayOnBoard => ({
    line: `#${number}`,
    chip: "sim",
    pin: null,
    pull: "none",
    while: raw.while,
  });
  const inputs = Array.from({ length: raw.inputs }, (_, index) => index + 1);
  return {
    ...raw,
    relays: Object.fromEntries(Array.from({ length: raw.relays }, (_, index) => [index + 1, relay(index + 1)])),
    inputs: Object.fromEntries(
      inputs.map((number): [string, InputOnBoard] => [
        `s${number}`,
        { line: `#${number}`, chip: "sim", pin: null, bias: "as-is", present: "high", debounceMs: 0 },
      ]),
    ),
    parts: null,
  };
}

function assemble(set: z.infer<typeof setSchema>, pi: Pi, product: Product): ReadBoard {
  const what = misfit(pi, product);
  if (what !== null) return { ok: false, what };
  const relays = Object.entries(product.relays).map(([number, one]): [number, RelayOnBoard] => {
    const pull = onExpander(product, one) ? "none" : pullOf(pi, one.line);
    return [Number(number), { ...place(pi, product, one), pull, while: whileOf(pi, product, pull) }];
  });
  const inputs = Object.entries(product.inputs).map(([key, one]): [string, InputOnBoard] => [
    key,
    { ...place(pi, product, one), bias: one.bias, present: one.present, debounceMs: one.debounce },
  ]);
  return {
    ok: true,
    board: {
      ...{ name: set.name, kind: set.kind, proven: set.proven, source: set.source, energised: product.energised },
      relays: Object.fromEntries(relays),
      inputs: Object.fromEntries(inputs),
      parts: { pi, product },
    },
  };
}

/** A line by offset is on the product's own chip where it has one; a line by name is always on the header. */
const onExpander = (product: Product, { line }: Wire): boolean => product.chip !== undefined && line.startsWith("#");

function place(pi: Pi, product: Product, one: Wire): { line: string; chip: string; pin: number | null } {
  if (product.chip !== undefined && onExpander(product, one))
    return { line: one.line, chip: product.chip.label, pin: null };
  return { line: one.line, chip: pi.chip, pin: headerPin(one.line) };
}

/** Why these two do not go together; null when they do. */
function misfit(pi: Pi, product: Product): string | null {
  const wires: Wire[] = [...Object.values(product.relays), ...Object.values(product.inputs)];
  const lines = wires.map(({ line }) => line);
  const twice = lines.find((line, at) => lines.indexOf(line) !== at);
  if (twice !== undefined) return `two things are on the line ${twice}`;
  for (const one of wires.filter((each) => !onExpander(product, each))) {
    const { line, pin } = one;
    if (Object.hasOwn(pi.reserved, line)) return `the ${pi.model} needs ${line} itself: ${pi.reserved[line]}`;
    if (pin === undefined || headerPin(line) === pin) continue;
    return `pin ${pin} of the header is ${HEADER_PINS[pin - 1]}, not ${line}: ${line} is pin ${headerPin(line) ?? "none"}`;
  }
  return null;
}

function pullOf(pi: Pi, line: string): Pull {
  if (pi.pulls.up.includes(line)) return "up";
  return pi.pulls.down.includes(line) ? "down" : "none";
}

function whileOf(pi: Pi, product: Product, pull: Pull): Record<Moment, RelayState> {
  const undriven = product.undriven[pull];
  const rebooting = pi.rail3v3.rebooting === "kept" ? undriven : worse(undriven, product.railLost);
  return {
    off: product.off,
    booting: product.while.booting ?? undriven,
    rebooting: product.while.rebooting ?? rebooting,
    // The lines stay open in systemd's file-descriptor store: nothing lets them go.
    crashed: "held",
  };
}

/** A restart passes through both: what is told is the one that moves more. */
function worse(a: RelayState, b: RelayState): RelayState {
  const order: readonly RelayState[] = ["held", "released", "unknown", "energised"];
  return order.indexOf(a) >= order.indexOf(b) ? a : b;
}

/** What an outlet does then. */
export function outletWhile(relay: RelayOnBoard, contact: "no" | "nc", moment: Moment): string {
  const state = relay.while[moment];
  if (state === "held") return "stays as it is";
  if (state === "unknown") return "not known: on or off";
  return (state === "released") === (contact === "nc") ? "on" : "off";
}

/** Why an NC contact is refused there; null when the line leaves the relay released. */
export function opensNcAtBoot(relay: RelayOnBoard): string | null {
  const { booting } = relay.while;
  if (booting === "released" || booting === "held") return null;
  if (relay.pull === "none" && booting === "unknown")
    return `it is not known whether the relay on ${relay.line} stays released while the Pi boots: an NC contact may open and cut the load`;
  const certainty = booting === "energised" ? "energises" : "may energise";
  return `${relay.line} is pulled ${relay.pull} while the Pi boots, which ${certainty} the relay: an NC contact opens and cuts the load`;
}
