//! The zygote's side of the engines: it takes orders, one run after the other, until the harness is gone.

use std::io;

use serde::{Deserialize, Serialize};

use super::{bench, command, explore, stress};
use crate::process::sys::child::reap;
use crate::process::{Builder, Channel, spawner};

/// What the harness may ask of its zygote. Each order comes with the shared region that it is about.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// Run a stress plan.
    Stress(Box<stress::StressOrder>),
    /// Fork a fork server for an exploration.
    ForkServer(Box<explore::ForkServerOrder>),
    /// Run a round of a benchmark.
    Bench(Box<bench::BenchOrder>),
    /// Fork a spawner of commands; the descriptor is the line over which it is talked to.
    Spawner(Box<spawner::Settings>),
    /// Fork a conductor of commands; the descriptor is the line over which it is talked to.
    Conductor,
}

/// Serves orders until the other end of the channel is closed.
pub(crate) fn serve(channel: &Channel, build: Builder) -> io::Result<()> {
    while let Some((order, memory)) = channel.receive()? {
        reap_the_ended();
        let memory = memory.ok_or_else(|| io::Error::other("an order came without its region"))?;
        match order {
            Order::Stress(order) => stress::supervise(channel, *order, memory, build)?,
            Order::ForkServer(order) => explore::raise_fork_server(channel, *order, memory, build)?,
            Order::Bench(order) => bench::supervise(channel, *order, memory, build)?,
            Order::Spawner(settings) => spawner::raise(channel, &settings, memory)?,
            Order::Conductor => command::raise(channel, memory)?,
        }
    }
    Ok(())
}

/// Reaps what earlier orders forked and what has ended since: their ends are heard of over their lines, so nobody else does.
fn reap_the_ended() {
    // Without children that is an error, and as good.
    while let Ok(Some(_)) = reap() {}
}
