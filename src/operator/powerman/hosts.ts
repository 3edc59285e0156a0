/** Names of nodes as powerman's tools write them: `a,b,n[1-3,7]` (powerman(1), "target specification"). */

/** A range of a whole data centre is larger than any site; one without end is a mistake. */
const MOST = 10_000;

/** Null where brackets do not fit, a range goes backwards, or it names too many. */
export function expandHosts(text: string): string[] | null {
  const names: string[] = [];
  for (const word of wordsOf(text)) {
    const expanded = expandWord(word, MOST - names.length);
    if (expanded === null) return null;
    names.push(...expanded);
  }
  return names;
}

/** Commas inside brackets belong to the range. */
function wordsOf(text: string): string[] {
  return text
    .split(/,(?![^[]*\])/)
    .map((word) => word.trim())
    .filter((word) => word !== "");
}

function expandWord(word: string, most: number): string[] | null {
  const found = /^([^[\]]*)\[([^[\]]*)\]([^[\]]*)$/.exec(word);
  if (found === null) return /[[\]]/.test(word) || most < 1 ? null : [word];
  const [, before = "", ranges = "", after = ""] = found;
  const names: string[] = [];
  for (const range of ranges.split(",")) {
    const [, first, last] = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(range) ?? [];
    if (first === undefined) return null;
    const to = Number(last ?? first);
    if (to < Number(first) || names.length + to - Number(first) >= most) return null;
    for (let number = Number(first); number <= to; number++)
      names.push(`${before}${String(number).padStart(first.length, "0")}${after}`);
  }
  return names;
}
