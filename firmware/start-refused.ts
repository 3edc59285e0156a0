/** A reason not to start that is not a bug; exit code 2. */
export class StartRefused extends Error {}
