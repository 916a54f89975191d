//! Conduct: one scenario from its plan to its verdict. The command line and the doctor both call it; it writes no file of
//! the results.

pub mod command;
mod command_history;
pub mod explore;
pub mod rounds;
pub mod stress;
