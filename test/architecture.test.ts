import { readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative } from "node:path";
import { describe, expect, it } from "vitest";

/** Who may import whom (design, section 3; `src/README.md`). Each rule also fails when its folder is empty. */

const ROOT = join(import.meta.dirname, "..");
const EDGES = ["journal", "power", "console", "uplink", "link", "access"];

interface Rule {
  /** Folders of `src` whose values and types may be imported. */
  readonly may: readonly string[];
  /** Folders of which only types may be imported. */
  readonly types?: readonly string[];
  readonly packages?: readonly string[];
  readonly node?: readonly string[] | "all";
}

const RULES: Record<string, Rule> = {
  core: { may: [] },
  protocol: { may: ["core"], packages: ["zod"], node: ["crypto", "zlib"] },
  config: { may: ["core", "protocol"], packages: ["zod", "yaml"], node: ["crypto"] },
  site: { may: ["core", "protocol"], types: EDGES, node: [] },
  disk: { may: [], node: "all" },
  linux: { may: [], packages: ["koffi"], node: "all" },
  journal: { may: ["core", "protocol", "disk"], types: EDGES, packages: ["tsx"], node: "all" },
  power: { may: ["core", "protocol", "disk", "linux"], types: EDGES, packages: ["johnny-five"], node: "all" },
  console: { may: ["core", "protocol", "disk", "linux"], types: EDGES, packages: ["serialport"], node: "all" },
  link: { may: ["core", "protocol", "disk"], types: EDGES, packages: ["mqtt", "aedes"], node: "all" },
  access: { may: ["core", "protocol", "disk"], types: EDGES, node: "all" },
  uplink: { may: ["core", "protocol", "disk", "linux"], types: EDGES, node: "all" },
  collect: { may: ["core", "protocol", "access", "link", "disk"], packages: ["zod"], node: "all" },
  // The journal and the site's recovery: a dead site's card is read with the operator's own command.
  operator: {
    may: ["core", "protocol", "access", "link", "disk", "journal", "site", "collect"],
    packages: ["yaml", "zod"],
    node: "all",
  },
  sim: { may: [...EDGES, "core", "protocol", "config", "disk", "site"], node: "all" },
};

/** Packages that touch the world are named by one folder each. */
const OWNERS: Record<string, string> = {
  "johnny-five": "power",
  mqtt: "link",
  koffi: "linux",
  serialport: "console",
  aedes: "link",
};

interface Import {
  readonly file: string;
  readonly target: string;
  readonly typeOnly: boolean;
}

function filesOf(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.m?ts$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
}

function importsOf(file: string): Import[] {
  const text = readFileSync(file, "utf8");
  const found: Import[] = [];
  for (const [, statement = "", target = ""] of text.matchAll(/^(?:import|export)\s([^;]*?)from\s+"([^"]+)"/gm)) {
    const names =
      /\{([^}]*)\}/
        .exec(statement)?.[1]
        ?.split(",")
        .map((one) => one.trim())
        .filter(Boolean) ?? [];
    const allTypes = names.length > 0 && names.every((one) => one.startsWith("type ")) && /^\s*\{/.test(statement);
    found.push({ file, target, typeOnly: statement.startsWith("type ") || allTypes });
  }
  for (const [, target = ""] of text.matchAll(/import\("([^"]+)"\)/g)) found.push({ file, target, typeOnly: false });
  return found;
}

function folderOf(file: string, target: string): string {
  return relative(join(ROOT, "src"), join(dirname(file), target)).split("/")[0] ?? "";
}

function violations(folder: string, rule: Rule): string[] {
  return filesOf(`src/${folder}`).flatMap((file) =>
    importsOf(file).flatMap(({ target, typeOnly }) => {
      const place = `${relative(ROOT, file)} imports ${target}`;
      if (target.startsWith("node:")) {
        const allowed = rule.node === "all" || (rule.node ?? []).includes(target.slice(5));
        return allowed ? [] : [place];
      }
      if (!target.startsWith("."))
        return (rule.packages ?? []).some((one) => target === one || target.startsWith(`${one}/`)) ? [] : [place];
      const to = folderOf(file, target);
      if (to === folder || rule.may.includes(to)) return [];
      // The one file at the top of src that every command may ask for the version.
      if (to === "version.ts" && folder === "operator") return [];
      return typeOnly && (rule.types ?? []).includes(to) ? [] : [place];
    }),
  );
}

describe("who imports whom", () => {
  for (const [folder, rule] of Object.entries(RULES)) {
    it(`src/${folder} imports only what it may`, () => {
      expect(filesOf(`src/${folder}`).length).toBeGreaterThan(0);
      expect(violations(folder, rule)).toEqual([]);
    });
  }

  it("every folder of src has a rule", () => {
    const folders = readdirSync(join(ROOT, "src"), { withFileTypes: true })
      .filter((one) => one.isDirectory())
      .map((one) => one.name);
    expect(folders.filter((one) => one !== "decisions").sort()).toEqual(Object.keys(RULES).sort());
  });

  it("a package that touches the world is named by the folder that owns it", () => {
    const all = [...filesOf("src"), ...filesOf("firmware")]
      .flatMap(importsOf)
      .filter(({ target }) => Object.hasOwn(OWNERS, target));
    expect(all.length).toBeGreaterThan(3);
    const wrong = all.filter(({ file, target }) => relative(join(ROOT, "src"), file).split("/")[0] !== OWNERS[target]);
    expect(wrong.map(({ file, target }) => `${relative(ROOT, file)}: ${target}`)).toEqual([]);
  });

  it("only firmware/compose.ts picks real edges", () => {
    const edges = ["createMqttTransport", "createTtyPort", "openJournal", "createRelayBank"];
    const users = filesOf("firmware").filter((file) => edges.some((name) => readFileSync(file, "utf8").includes(name)));
    expect(users.map((file) => relative(ROOT, file))).toEqual(["firmware/compose.ts"]);
  });

  it("the core has no clock, no chance, no timers and no process", () => {
    const forbidden =
      /\b(Date\.|new Date|Math\.random|setTimeout|setInterval|setImmediate|process\.|performance\.|crypto\.|globalThis)/;
    const users = filesOf("src/core").filter((file) =>
      forbidden.test(readFileSync(file, "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "")),
    );
    expect(users.map((file) => relative(ROOT, file))).toEqual([]);
  });

  it("nobody asks the machine's resolver: names are asked by c-ares or by ourselves, over the path that they are for", () => {
    const files = [...filesOf("src"), ...filesOf("firmware")];
    const users = files.filter((file) => {
      const text = readFileSync(file, "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
      return /\blookup\b|getaddrinfo\(|\bfetch\(|from "node:https?"/.test(text);
    });
    expect(users.map((file) => relative(ROOT, file))).toEqual([]);
    // Each of these is given an address, a socket's path, or a socket; whoever joins them has to think of it.
    const dial = /import \{[^}]*\b(connect|createConnection|Socket)\b[^}]*\} from "node:(net|tls)"/;
    const dialling = files.filter((file) => dial.test(readFileSync(file, "utf8").replace(/\btype Socket\b/g, "")));
    expect(dialling.map((file) => relative(ROOT, file)).sort()).toEqual([
      "src/access/shell.ts",
      "src/link/local.ts",
      "src/link/plain-path.ts",
      "src/link/tls-connect.ts",
      "src/linux/dbus.ts",
      "src/operator/cli/terminal.ts",
      "src/operator/machine-path.ts",
      "src/uplink/helper.ts",
      "src/uplink/probes.ts",
      "src/uplink/reach.ts",
    ]);
  });

  it("no import of the tree is a circle", () => {
    const files = [...filesOf("src"), ...filesOf("firmware")];
    const graph = new Map(
      files.map((file) => [
        file,
        importsOf(file)
          .filter(({ target, typeOnly }) => target.startsWith(".") && !typeOnly)
          .map(({ target }) => join(dirname(file), target)),
      ]),
    );
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (file: string, trail: readonly string[]): void => {
      if (trail.includes(file))
        return void circles.push(
          [...trail.slice(trail.indexOf(file)), file].map((one) => relative(ROOT, one)).join(" → "),
        );
      if (done.has(file)) return;
      for (const next of graph.get(file) ?? []) visit(next, [...trail, file]);
      done.add(file);
    };
    for (const file of files) visit(file, []);
    expect(circles).toEqual([]);
  });

  it("no file is longer than a person reads in one sitting, and no folder is a drawer", () => {
    const files = [...filesOf("src"), ...filesOf("firmware"), ...filesOf("test")];
    const long = files.filter((file) => readFileSync(file, "utf8").split("\n").length > 400);
    expect(long.map((file) => relative(ROOT, file))).toEqual([]);
    expect(files.filter((file) => /\/(utils?|helpers?|common)\//.test(file))).toEqual([]);
  });

  it("node's own modules are imported with their prefix", () => {
    const bare = filesOf("src")
      .flatMap(importsOf)
      .filter(({ target }) => builtinModules.includes(target));
    expect(bare).toEqual([]);
  });
});
