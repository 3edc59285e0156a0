import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { makeFolder } from "../../src/disk/make-folder.ts";

function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), "towpath-folder-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

it("a folder is made with those above it, and one that is there is left as it is", () => {
  const folder = join(scratch(), "a/b/c");
  makeFolder(folder, 0o750);
  makeFolder(folder);
  expect(statSync(folder).mode & 0o777).toBe(0o750);
});

it("where none can be made that is said at once, also where the kernel can have none", () => {
  expect(() => makeFolder("/proc/x/y")).toThrow("ENOENT");
  const file = join(scratch(), "file");
  writeFileSync(file, "");
  expect(() => makeFolder(join(file, "below"))).toThrow("ENOTDIR");
});
