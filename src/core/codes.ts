/**
 * Every answer that is not a plain yes, with what to do about it. The codes are an interface: programs compare them,
 * people search for them. `src/protocol/README.md` lists each one, and a test holds the two together.
 */
export const CODES = {
  "message.oversized": [
    "The message is larger than 1 MiB, or a command without a document larger than 16 KiB.",
    "Send less at once; a read is limited to 256 KiB.",
  ],
  "message.retained": [
    "A command arrived with the retain flag.",
    "Never retain a command; clear the topic at the broker.",
  ],
  "message.malformed": ["The message is not what this topic carries.", "Compare it with src/protocol/asyncapi.yaml."],
  "message.unknown-topic": [
    "Nothing at a site listens to this topic.",
    "Check the topic table in src/protocol/README.md.",
  ],
  "message.wrong-site": ["The command names another site.", "Sign a new command that names this site."],
  "command.unsupported": [
    "This controller does not know that kind or verb.",
    "Update the controller, or use another verb.",
  ],
  "command.id-taken": ["Another operator already used this id.", "Send the command again with a new id."],
  "nonce.unknown": ["No selection has this nonce (the controller may have restarted).", "Select again."],
  "nonce.expired": ["The selection is older than 60 seconds.", "Select again."],
  "nonce.used": ["The nonce was spent by an earlier command.", "Select again."],
  "nonce.mismatch": ["The selection was made by another operator, or for something else.", "Select again yourself."],
  "signature.missing": ["The message carries no signature.", "Sign it with an operator's key."],
  "signature.invalid": ["No signature fits the bytes.", "Sign exactly the bytes that are sent."],
  "signature.unknown-key": [
    "The key belongs to no operator of this site.",
    "Add the key with `towpath trust add`, sign and push.",
  ],
  "operator.revoked": [
    "This operator or key is revoked.",
    "Ask a root holder; a revocation is undone by a new document.",
  ],
  "operator.mismatch": ["The message names another operator than its key.", "Use the key of the operator it names."],
  "trust.none": [
    "The site has no trust document: nobody can switch anything.",
    "Set `trust:` in site.yaml and start it again.",
  ],
  "trust.behind": ["The command was made under a newer trust than the site has.", "`towpath trust push SITE` first."],
  "trust.changed": ["The trust changed between select and operate.", "Select again."],
  "trust.invalid": [
    "The trust document cannot be read or does not fit this fleet.",
    "Check it with `towpath trust show`.",
  ],
  "trust.lower": ["The trust document is older than the one the site has.", "Sign a newer one: `towpath trust sign`."],
  "trust.signatures": ["Not enough root signatures, of the old roots and the new.", "Let more root holders sign it."],
  "role.denied": [
    "The operator's roles do not allow this here.",
    "Ask for a role: `towpath trust role`, `towpath trust add`.",
  ],
  "facts.changed": ["The outlets are no longer as they were shown.", "Look at the new preview and decide again."],
  "target.unknown": ["The site has no such device or outlet.", "`towpath status SITE` lists what it has."],
  "target.no-outlets": ["The device has no outlets.", "Give it outlets in site.yaml."],
  "outlet.locked": ["The outlet is locked.", "Talk to who locked it: `towpath power unlock` is theirs, or an admin's."],
  "outlet.lock-owner": ["The lock was set by somebody else.", "Talk to who set it; an admin may take it away."],
  "outlet.interlock": [
    "These outlets are never both on.",
    "Switch the other one off first; when it is, it must read back as off.",
  ],
  "override.reason": ["An override needs a reason.", "Say why: `--reason TEXT`; it is in the ledger."],
  "outlet.not-locked": ["The outlet is not locked.", "Nothing to do."],
  "outlet.busy": ["A command is in execution on this outlet.", "Wait for it, or `towpath power cancel`."],
  "outlet.idle": ["No command is in execution there.", "Nothing to cancel."],
  "outlet.not-on": ["Cycle was asked, but the outlet is off.", "Use `on`, or say `--from any`."],
  "outlet.min-on": ["The outlet has not been on for its minimum time.", "Wait the time that is printed."],
  "outlet.min-off": ["The outlet has not been off for its minimum time.", "Wait the time that is printed."],
  "outlet.rate": ["The outlet was switched too often.", "Wait the time that is printed; look for the real cause."],
  "branch.own": ["This would cut the controller's own power or path.", "Use `cycle` on an NC contact, or `off --for`."],
  "dependency.off": ["A device that must come first has no power.", "Switch that device on first."],
  "actor.unknown": ["The config names no such actor.", "Nothing moved; only what site.yaml names may act by itself."],
  "actor.denied": ["This actor may not do that here.", "Nothing moved; its verbs and outlets are in site.yaml."],
  "actor.rate": ["This actor acted too often.", "It waits; look for the real cause."],
  "storage.degraded": [
    "The card does not take records, so this may not be forgotten safely.",
    "Replace the card, or say `--without-record`.",
  ],
  "uplink.drift": [
    "Rules or routes that keep the LTE path apart were changed by another program.",
    "They were put back if it says so; find what changed them (a VPN client, NetworkManager), else it does so again.",
  ],
  "relay.failed": [
    "The line did not take the level it was given.",
    "Check board and wiring; it is not tried again by itself.",
  ],
  "relay.unavailable": [
    "The line of a relay cannot be had; the rest of the site runs.",
    "`towpath doctor` on site says who holds it or what is missing; it is asked for again at each command.",
  ],
  "input.unavailable": [
    "An input line cannot be read, so what it observes is unknown.",
    "`towpath doctor` on site says who holds it; it is tried again by itself.",
  ],
  "outlet.drift": [
    "At the start an outlet was not as it was last commanded.",
    "Look at the site; nothing is switched by itself. Decide, then `towpath power on` or `off`.",
  ],
  "fact.disagrees": [
    "The observation does not agree with the command.",
    "Relay stuck, fuse, or sensor: look at the site.",
  ],
  "power.interrupted": [
    "The controller restarted in the middle; an owed `on` was paid.",
    "Look at the facts, then decide.",
  ],
  "power.cancelled": ["The command was cancelled; what it owed was paid.", "Nothing to do."],
  "outcome.unknown": [
    "No command with this id was decided here.",
    "It never arrived, or is too long ago: look at `events`.",
  ],
  "console.unknown": ["The site has no such console.", "`towpath status SITE` lists what it has."],
  "console.missing": ["The port is not there.", "Check cable and adapter; it is opened by itself when it returns."],
  "console.busy": ["Another program holds the port.", "Stop that program (ModemManager, minicom, a getty)."],
  "console.quarantined": [
    "Which adapter is meant is not certain: twin serial numbers, or a stranger in its socket.",
    "Nothing was opened; `towpath ports` prints the line that binds it by its socket.",
  ],
  "console.error": ["The port failed.", "Check the adapter; it is opened again by itself."],
  "console.stuck": [
    "The device takes nothing of what was typed (flow control: XOFF, or no CTS).",
    "Look at `flow:` of the console and at the cable; `towpath status` shows the modem lines.",
  ],
  "lease.held": [
    "Somebody else types into this console.",
    "Ask for it with ~r, type along with ~j, or take it with ~s (--join, --steal).",
  ],
  "lease.none": ["You only watch this console.", "Ask for the right to type with ~r."],
  "sequence.unknown": ["The console has no such sequence.", "~: lists what can be sent; site.yaml can name more."],
  "sequence.confirm": ["This can stop or restart the device.", "Say yes when you are asked."],
  "sequence.failed": [
    "The port is down, or its adapter knows no BREAK.",
    "Check the adapter; try again when it is up.",
  ],
  "session.slow": [
    "The program at a listener did not take what the console said, and was let go.",
    "Let it connect again; what it missed is in `towpath log`.",
  ],
  "session.stale": ["The other end does not answer any more.", "Attach again."],
  "session.stopped": ["The controller stops.", "It comes back by itself where systemd runs it: attach again then."],
  "session.too-many": ["Too many are attached to this console.", "End one of them; `towpath status` counts them."],
  "session.unrecorded": [
    "Programs came and went at listeners too often for a record each.",
    "Look for the program that connects again and again.",
  ],
  "session.malformed": ["The session was sent what it does not know.", "Use the same version at both ends."],
  "listener.unavailable": [
    "A network listener cannot stand at its address.",
    "Check `access.listeners`: another program has the port, or the address is not this machine's.",
  ],
  "read.range": ["The range is not one the journal can have.", "Ask for a range inside what `status` shows."],
  "select.too-many": [
    "This operator selects more than a person does.",
    "Wait the time that is printed; look for a program that goes round in circles.",
  ],
  "read.too-many": ["Too many reads or watches at once.", "End one, or wait a minute."],
  "stream.unsupported": [
    "The site has no such service, or cannot start it.",
    "`towpath doctor` on site says what is missing.",
  ],
  "stream.in-clear": [
    "Who types over a broker without encryption could be anybody who may publish there.",
    "Type with `towpath ssh SITE CONSOLE`, or on the local socket; watch with `towpath console --watch`.",
  ],
  "stream.too-many": ["Too many streams are open at the site.", "End one; who is gone is dropped after five minutes."],
  "stream.stale": [
    "The request was made for another life of the site, or was used already.",
    "Ask again: the site may have restarted.",
  ],
  "stream.ticket": ["The ticket is not one of a living login, or was used.", "Log in again."],
  "stream.unknown": [
    "The other end does not know this stream (any more).",
    "It restarted, most likely: open it again.",
  ],
  "stream.idle": ["Nothing went either way for 15 minutes.", "Open it again."],
  "stream.lost": ["The other end was not heard for five minutes.", "Look at its path, then open it again."],
  "config.rejected": [
    "The config has errors; the last good one runs.",
    "`towpath controller --config site.yaml --check`.",
  ],
  "config.owes-on": ["An outlet that owes an on is missing from the config.", "Put it back until the on is paid."],
  "sim.unknown": ["There is no such simulated device or fault.", "`towpath sim --help` lists them."],
  "site.silent": ["The site does not answer.", "Its last known state is shown; try the local socket or wait."],
  "reply.unverified": [
    "The answer is not signed by the site's key.",
    "Do not believe it; check `sites.json` and the broker.",
  ],
} as const satisfies Record<string, readonly [text: string, remedy: string]>;

export type Code = keyof typeof CODES;

function isCode(text: string): text is Code {
  return Object.hasOwn(CODES, text);
}

/** One line for people: what happened, what to do, and the code to search for. */
export function explain(code: string): string {
  if (!isCode(code)) return `Refused (${code}).`;
  const [text, remedy] = CODES[code];
  return `${text} ${remedy} (${code})`;
}
