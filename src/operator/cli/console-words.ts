import { explain } from "../../core/codes.ts";
import type { SessionMessage } from "../../protocol/session.ts";
import { safe } from "./out.ts";

/** What a session tells a person, on a line of its own beside the console's text. */

type Of<T extends SessionMessage["t"]> = Extract<SessionMessage, { t: T }>;

export function helpText(mark: string): string {
  const keys = [
    [".", "end the session"],
    ["B", "send a BREAK"],
    [":", "send a named sequence (sysrq-b, cisco-rommon, …)"],
    ["P", "power of this console's device: on, off, cycle"],
    ["r", "ask for the right to type"],
    ["s", "take it; who has it is told by whom"],
    ["j", "type along with who has it"],
    ["l", "let it go, and watch"],
    ["w", "who is here"],
    ["?", "this help"],
    [mark, `send one ${mark}`],
  ];
  return ["After a return:", ...keys.map(([key, what]) => `  ${mark}${key}  ${what}`)].join("\n");
}

/** Null: nothing that a person needs to read. */
export function messageText(message: SessionMessage, mark: string): string | null {
  switch (message.t) {
    case "missed":
      return `you were too slow for ${message.bytes} bytes from offset ${message.from}; \`towpath log\` has them`;
    case "gap":
      return `${message.bytes === null ? "bytes" : `${message.bytes} bytes`} are lost here (${safe(message.cause)})`;
    case "lease":
      return leaseText(message, mark);
    case "console":
      return message.state === "up" ? null : `the port is down: ${safe(explain(message.code ?? ""))}`;
    case "sent":
      return `${safe(message.by)} sent ${safe(message.name)}`;
    case "line":
      return `${safe(message.by)} ${message.undone ? "left, and the line is back at" : "set the line to"} ${safe(message.line)}`;
    case "refused":
      return `${safe(message.what)}: ${safe(explain(message.code))}${message.detail === "" ? "" : ` ${safe(message.detail)}`}`;
    case "ended":
      return safe(explain(message.code));
    default:
      return null;
  }
}

function leaseText({ what, why, by }: Of<"lease">, mark: string): string | null {
  const who = by === null ? "nobody" : safe(by);
  switch (what) {
    case "type":
      if (why === "joined") return `you type along with ${who}`;
      if (why === "stolen") return by === null ? "you may type" : `you may type; ${who} was told`;
      return why === "free" ? "you may type" : `you may type: ${who} ${GONE[why] ?? "stopped"}`;
    case "watch":
      if (why === "stolen") return `${who} has taken the right to type; you watch`;
      if (why === "idle") return `you did not type, and ${who} waited: you watch now`;
      if (why === "expired") return `you were not heard for 30 s; you watch now. ${mark}r asks for it again`;
      return why === "right" ? "your right to type here was taken away; you watch" : "you watch now";
    case "waiting":
      return `${who} types; you are next when that ends. ${mark}s takes it, ${mark}j types along`;
    case "asked":
      return `${who} asks to type; ${mark}l lets it go`;
    case "joined":
      return `${who} types along with you`;
    case "refused":
      if (why === "right") return "you may only watch here";
      return `${who} types; you watch. ${mark}r asks, ${mark}j types along, ${mark}s takes it`;
    default:
      return null;
  }
}

const GONE: Readonly<Record<string, string>> = {
  released: "let it go",
  left: "left",
  expired: "was not heard any more",
  idle: "did not type",
};

export function peopleText({ people }: Of<"people">): string {
  const others = people.filter(({ you }) => !you).map(({ name, from, role }) => `${name} (${role}, ${from})`);
  return safe(others.length === 0 ? "nobody else is here" : `also here: ${others.join(", ")}`);
}
