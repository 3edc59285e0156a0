/** What a console says when the device is in trouble: the capture is synced at once, and people are told. */
export const PANIC = /panic|oops|watchdog|fatal exception|traceback|\bBUG:/i;

/** So many bytes before a piece are looked at with it, so that a cut in the middle of a word hides nothing. */
export const PANIC_LOOK_BACK = 32;
