// /usr/share/doc/towpath/copyright: our licence, and that of each package that comes along.
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { packagesIn } from "./package-prune.mjs";

const HEAD = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: towpath

Files: *
Copyright: the Towpath authors
License: Apache-2.0
 On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.
`;

const author = ({ author: one }) => (typeof one === "string" ? one : (one?.name ?? "its authors"));

export function copyrightText(modules) {
  const library = join(modules, "..");
  const parts = packagesIn(modules).map((folder) => {
    const own = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const text = readdirSync(folder).find((name) => /^(licen[cs]e|copying|readme)/i.test(name));
    const place = relative(library, folder);
    const where = text === undefined ? "named in its package.json" : `in /usr/lib/towpath/${place}/${text}`;
    return `\nFiles: usr/lib/towpath/${place}/*\nCopyright: ${author(own)}\nLicense: ${own.license ?? "see its text"}\n ${own.name} ${own.version}; its text is ${where}.\n`;
  });
  return HEAD + parts.join("");
}
