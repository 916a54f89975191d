//! The zygote of the engines: it builds subjects, and takes orders, one run after the other, until the harness is gone.

use std::io;

use serde::{Deserialize, Serialize};

use super::{bench, command, explore, stress};
use crate::process::sys::child::reap;
use crate::process::{self, Channel, Server, Zygote, spawner};
use crate::scratch;
use crate::subject::{self, Builder};

/// What the harness may ask of its zygote. Each order comes with the shared region that it is about.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ServerTask {
    /// Run a stress plan.
    Stress(Box<stress::StressTask>),
    /// Fork a fork server for an exploration.
    ForkServer(Box<explore::ForkServerTask>),
    /// Run a round of a benchmark.
    Bench(Box<bench::BenchTask>),
    /// Fork a supervisor of commands; the descriptor is the line over which it is talked to.
    Commands,
}

/// What the zygote of the engines is for.
#[derive(Debug)]
struct Engines {
    build: Builder,
}

impl Zygote {
    /// Forks the zygote. Call it first thing in `main`, before anything starts a thread: with threads it is an error.
    pub fn fork() -> io::Result<Self> {
        Self::fork_with(subject::build)
    }

    /// Forks a zygote that builds its subjects in another way: for tests with subjects of their own.
    pub fn fork_with(build: Builder) -> io::Result<Self> {
        Self::fork_for(Box::new(Engines { build }))
    }

    /// How it builds its subjects: whoever looks at a subject from outside builds it in the same way.
    pub(crate) fn builder(&self) -> Builder {
        self.server::<Engines>().map_or(subject::build, |engines| engines.build)
    }
}

impl Server for Engines {
    fn serve(&self, channel: &Channel) -> io::Result<()> {
        while let Some((order, memory)) = channel.receive()? {
            reap_the_ended();
            let memory = memory.ok_or_else(|| io::Error::other("an order came without its region"))?;
            let build = self.build;
            let order = match order {
                process::Request::Spawner(settings) => {
                    spawner::raise(channel, &settings, memory)?;
                    continue;
                }
                process::Request::Server(order) => order,
            };
            match order {
                ServerTask::Stress(order) => stress::supervise(channel, *order, memory, build)?,
                ServerTask::ForkServer(order) => explore::raise_fork_server(channel, *order, memory, build)?,
                ServerTask::Bench(order) => bench::supervise(channel, *order, memory, build)?,
                ServerTask::Commands => command::raise(channel, memory)?,
            }
        }
        Ok(())
    }

    fn clear(&self) {
        // What cannot be removed is told by whoever finds it next.
        drop(scratch::clear_registered());
        for base in scratch::usual_bases() {
            drop(scratch::clear_leftovers(&base));
        }
    }
}

/// Reaps what earlier orders forked and what has ended since: their ends are heard of over their lines, so nobody else does.
fn reap_the_ended() {
    // Without children that is an error, and as good.
    while let Ok(Some(_)) = reap() {}
}
