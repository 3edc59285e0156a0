import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type Checked, checkConfig, type Problem, type SiteConfig } from "../src/config/config.ts";
import { writeWhole } from "../src/disk/disk.ts";

/** Finding, checking and remembering `site.yaml`. */

const BOARDS = [join(import.meta.dirname, "../boards"), join(import.meta.dirname, "../../boards")];

function boardsFolder(): string {
  return BOARDS.find((folder) => existsSync(folder)) ?? fileURLToPath(new URL("../boards", import.meta.url));
}

function readConfig(text: string, folder: string, insecureLab: boolean): Checked {
  const boards = boardsFolder();
  const absolute = (path: string) => (isAbsolute(path) ? path : resolve(folder, path));
  return checkConfig(text, {
    resolve: absolute,
    readBoard(board) {
      const file = /[/.]/.test(board) ? absolute(board) : join(boards, `${board}.yaml`);
      return existsSync(file) ? readFileSync(file, "utf8") : null;
    },
    readPart: (part) => readFile(join(boards, "parts", `${part}.yaml`)),
    boards: readdirSync(boards)
      .filter((file) => file.endsWith(".yaml"))
      .map((file) => basename(file, ".yaml")),
    insecureLab,
  });
}

export type Loaded =
  | {
      ok: true;
      config: SiteConfig /** Why the last good config runs instead of the file. */;
      rejected: readonly Problem[] | null;
    }
  | { ok: false; problems: readonly Problem[] };

/** The file, or the last good config where the file is bad and this is not the first start. */
export function loadConfig(file: string, options: { insecureLab: boolean; mayFallBack: boolean }): Loaded {
  const read = readFile(file);
  const checked: Checked =
    read === null
      ? { ok: false, problems: [{ where: file, what: "cannot be read", todo: "Check the path and its permissions." }] }
      : readConfig(read, dirname(resolve(file)), options.insecureLab);
  const problems = checked.ok ? folderProblems(checked.config) : checked.problems;
  if (checked.ok && problems.length === 0) return { ok: true, config: checked.config, rejected: null };
  if (options.mayFallBack) {
    const last = lastGood(dataFolderOf(read, file), options.insecureLab);
    if (last !== null) return { ok: true, config: last, rejected: problems };
  }
  return { ok: false, problems };
}

function readFile(file: string): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return null;
  }
}

/** `sun_path` of unix(7), without its terminating zero. */
const SOCKET_PATH_LIMIT = 107;

/** What the config names on this machine and is not as it must be. */
function folderProblems(config: SiteConfig): Problem[] {
  const problems: Problem[] = [];
  const parent = dirname(config.data);
  if (existsSync(config.data) && !statSync(config.data).isDirectory()) {
    problems.push({ where: "data", what: `${config.data} is not a folder`, todo: "Choose a folder." });
  } else if (!existsSync(parent)) {
    problems.push({ where: "data", what: `${parent} does not exist`, todo: `Make it: mkdir -p ${parent}` });
  }
  if (Buffer.byteLength(config.socket) > SOCKET_PATH_LIMIT) {
    const what = `the socket ${config.socket} is longer than the ${SOCKET_PATH_LIMIT} bytes that the kernel takes`;
    problems.push({ where: "local", what, todo: "Use a shorter `data:`, or set `local:`." });
  }
  for (const [name, file] of Object.entries(config.tls)) {
    if (file === undefined || existsSync(file)) continue;
    problems.push({
      where: `link.tls.${name}`,
      what: `${file} is not there`,
      todo: "Correct the path, or put the file there.",
    });
  }
  return problems;
}

/** Also when the file is no longer YAML: the line that names the data folder is enough. */
function dataFolderOf(text: string | null, file: string): string {
  const named = /^data:\s*["']?([^"'#\s]+)/m.exec(text ?? "")?.[1];
  return resolve(dirname(resolve(file)), named ?? process.env.TOWPATH_DATA ?? "/var/lib/towpath");
}

const lastGoodFile = (data: string) => join(data, "config.last-good.json");

export function lastGood(data: string, insecureLab: boolean): SiteConfig | null {
  const text = readFile(lastGoodFile(data));
  if (text === null) return null;
  const saved = parseSaved(text);
  if (saved === null) return null;
  const checked = readConfig(saved.yaml, saved.folder, insecureLab);
  return checked.ok ? checked.config : null;
}

function parseSaved(text: string): { yaml: string; folder: string } | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || !("yaml" in value) || !("folder" in value)) return null;
    return typeof value.yaml === "string" && typeof value.folder === "string"
      ? { yaml: value.yaml, folder: value.folder }
      : null;
  } catch {
    return null;
  }
}

/** After a start that works: this is what the next bad file falls back to. */
export function rememberConfig(config: SiteConfig, file: string): void {
  const text = readFile(file);
  if (text === null) return;
  const content = `${JSON.stringify({ yaml: text, folder: dirname(resolve(file)) })}\n`;
  if (readFile(lastGoodFile(config.data)) !== content) writeWhole(lastGoodFile(config.data), content);
}
