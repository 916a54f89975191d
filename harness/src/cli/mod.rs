//! The command line: what was typed, what it means, and the exit code it ends with.
