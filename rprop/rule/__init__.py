"""One step of Rprop, exactly: the ground on which the other wings stand."""
