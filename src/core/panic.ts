/** What a console says when the device is in trouble: the capture is synced at once, and people are told. */
export const PANIC_WORDS = ["panic", "oops", "watchdog", "fatal exception", "traceback"] as const;
/** Only at the begin of a word: not inside one, such as `debug:`. */
export const PANIC_BEGINS = ["bug:"] as const;

export const PANIC = new RegExp([...PANIC_WORDS, ...PANIC_BEGINS.map((word) => `\\b${word}`)].join("|"), "i");

/** So many bytes before a piece are looked at with it, so that a cut in the middle of a word hides nothing. */
export const PANIC_LOOK_BACK = 32;
