/** Enough of udev(7) to say what a rules file makes of a device. What it does not know, it refuses. */

export interface Device {
  readonly action: "add" | "change" | "remove";
  readonly subsystem: string;
  readonly kernel: string;
  readonly driver?: string;
  /** Drivers of the device and of all above it. */
  readonly drivers?: readonly string[];
  /** What earlier rules found out. */
  readonly env?: Readonly<Record<string, string>>;
  /** Attributes that are there. */
  readonly attributes?: readonly string[];
}

export interface Outcome {
  readonly env: Readonly<Record<string, string>>;
  readonly attributes: Readonly<Record<string, string>>;
  readonly programs: readonly string[];
  readonly group?: string | undefined;
  readonly mode?: string | undefined;
}

interface Token {
  readonly key: string;
  readonly name: string;
  readonly operator: string;
  readonly value: string;
}

type Rule = readonly Token[];

function parseRule(line: string): Rule {
  const tokens: Token[] = [];
  const rest = line.replace(
    /\s*([A-Z]+)(?:\{([^}]+)\})?(==|!=|\+=|=)"([^"]*)"\s*,?/g,
    (_, key: string, name: string | undefined, operator: string, value: string) => {
      tokens.push({ key, name: name ?? "", operator, value });
      return "";
    },
  );
  if (rest.trim() !== "") throw new Error(`udev would not understand: ${rest.trim()}`);
  return tokens;
}

export function parseRules(text: string): Rule[] {
  return text
    .replaceAll("\\\n", "")
    .split("\n")
    .filter((line) => line.trim() !== "" && !line.startsWith("#"))
    .map(parseRule);
}

/** `*`, `?`, `[0-9]` and alternatives with `|`. */
function matches(pattern: string, value: string): boolean {
  const source = pattern
    .split("|")
    .map((one) =>
      one
        .replace(/[.+^${}()\\]/g, "\\$&")
        .replaceAll("*", ".*")
        .replaceAll("?", "."),
    )
    .join("|");
  return new RegExp(`^(?:${source})$`).test(value);
}

class Run {
  readonly env: Record<string, string>;
  readonly attributes: Record<string, string> = {};
  readonly programs: string[] = [];
  group: string | undefined;
  mode: string | undefined;
  private readonly device: Device;

  constructor(device: Device) {
    this.device = device;
    this.env = { ...device.env };
  }

  holds({ key, name, operator, value }: Token): boolean {
    const { device } = this;
    const own: Record<string, readonly string[]> = {
      ACTION: [device.action],
      SUBSYSTEM: [device.subsystem],
      KERNEL: [device.kernel],
      DRIVER: [device.driver ?? ""],
      DRIVERS: device.drivers ?? [],
      ENV: [this.env[name] ?? ""],
      TEST: device.attributes ?? [],
    };
    if (key === "PROGRAM") {
      this.programs.push(value);
      return true;
    }
    const values = own[key];
    if (values === undefined) throw new Error(`not known here: ${key}`);
    const found = values.some((one) => matches(value, one));
    return operator === "!=" ? !found : found;
  }

  assign({ key, name, value }: Token): void {
    if (key === "ENV") this.env[name] = value;
    else if (key === "ATTR") this.attributes[name] = value;
    else if (key === "GROUP") this.group = value;
    else if (key === "MODE") this.mode = value;
    else throw new Error(`not known here: ${key}`);
  }
}

const isMatch = ({ operator }: Token): boolean => operator === "==" || operator === "!=";
const isJump = ({ key }: Token): boolean => key === "GOTO" || key === "LABEL";

/** What the rules make of the device. */
export function applyRules(rules: readonly Rule[], device: Device): Outcome {
  const run = new Run(device);
  for (let at = 0; at < rules.length; at++) {
    const rule = rules[at] ?? [];
    if (!rule.filter(isMatch).every((token) => run.holds(token))) continue;
    for (const token of rule) if (!isMatch(token) && !isJump(token)) run.assign(token);
    const to = rule.find(({ key }) => key === "GOTO")?.value;
    if (to === undefined) continue;
    const label = rules.findIndex(
      (one, index) => index > at && one.some((token) => token.key === "LABEL" && token.value === to),
    );
    if (label < 0) throw new Error(`no LABEL="${to}" below its GOTO`);
    at = label;
  }
  const { env, attributes, programs, group, mode } = run;
  return { env, attributes, programs, group, mode };
}
