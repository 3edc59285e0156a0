/** Why an operator's command could not do its work; each becomes one line and an exit code. */

/** Nobody answers there, or the connection was lost before anything left: exit 5. */
export class Unreachable extends Error {}

/** The key cannot sign: exit 2. */
export class SigningError extends Error {}

/** A setting, a trust document or a list of sites cannot be used: exit 2. */
export class SettingsError extends Error {}
