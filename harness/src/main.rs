//! The binary: forks the zygote while there is one thread, and hands over to the library.

use std::process::ExitCode;

use flockwork_harness::cli;
use flockwork_harness::process::Zygote;

fn main() -> ExitCode {
    // First of all: once there is a second thread, a fork copies its locks and not the thread that would open them.
    let zygote = Zygote::fork();
    cli::main(zygote, std::env::args_os()).into()
}
