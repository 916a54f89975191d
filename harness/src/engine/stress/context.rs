//! What all processes of one run share: the order, the region and the subject. Made in the zygote, inherited by fork.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nix::unistd::Pid;
use rustix::thread::futex;

use super::wire::StressTask;
use crate::plan::StressPlan;
use crate::process::lifeline;
use crate::process::overlap::{Identity, OverlapDetector};
use crate::process::region::{Header, Region};
use crate::subject::{Builder, Seat, Session, Subject};

/// The names of this many containers: `c1`, `c2`, …
pub(super) fn container_names(count: u32) -> Vec<String> {
    (1..=count).map(|number| format!("c{number}")).collect()
}

/// Where a run takes place.
pub(super) struct RunContext {
    pub order: StressTask,
    pub region: Arc<Region>,
    pub subject: Box<dyn Subject>,
    pub containers: Arc<[String]>,
    pub zygote: Pid,
}

impl RunContext {
    pub fn prepare(order: StressTask, memory: OwnedFd, build: Builder) -> Result<Self, String> {
        let region = Region::attach(memory, order.layout)
            .map_err(|error| format!("cannot map the {} bytes of the log: {error}", order.layout.bytes()))?;
        Ok(Self {
            subject: build(&order.plan.subject)?,
            containers: container_names(order.plan.containers).into(),
            zygote: nix::unistd::getpid(),
            region: Arc::new(region),
            order,
        })
    }

    pub fn plan(&self) -> &StressPlan {
        &self.order.plan
    }
}

/// One process's place in a run.
#[derive(Clone, Copy)]
pub(super) struct Post<'s> {
    pub context: &'s RunContext,
    pub identity: Identity,
}

impl<'s> Post<'s> {
    pub fn plan(&self) -> &'s StressPlan {
        &self.context.order.plan
    }

    pub fn header(&self) -> &'s Header {
        self.context.region.header(self.identity.process)
    }

    /// Opens the subject for the process at this post; where that fails, leaves word of it and gives back the exit code.
    pub fn open(&self) -> Result<Box<dyn Session + 's>, i32> {
        let context = self.context;
        let examines = self.identity.process == context.order.layout.examiner();
        let hold_ns = if examines { 0..=0 } else { self.plan().hold_ns.clone() };
        let seat = Seat {
            root: self.plan().root.clone(),
            process: self.identity.process,
            containers: Arc::clone(&context.containers),
            payload_bytes: self.plan().payload_bytes,
            marker: context.order.marker.clone(),
            watch: Arc::new(OverlapDetector::new(Arc::clone(&context.region), self.identity, hold_ns)),
        };
        context.subject.open(seat).map_err(|error| {
            lifeline::leave_words(self.header(), &format!("cannot open the subject: {error}"));
            lifeline::UNOPENED
        })
    }

    /// Waits until all may go.
    pub fn wait_at_barrier(&self) {
        let control = self.context.region.control();
        control.ready.fetch_add(1, Ordering::AcqRel);
        while control.go.load(Ordering::Acquire) == 0 {
            // Woken, interrupted or too late to sleep: in every case, look again.
            _ = futex::wait(&control.go, futex::Flags::empty(), 0, None);
        }
    }
}
