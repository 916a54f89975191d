//! Scenarios: TOML that says what to run and what to expect.
