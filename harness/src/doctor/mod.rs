//! What this machine can do for flockwork, tried out rather than assumed.
