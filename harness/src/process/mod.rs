//! Beneath the engines: the zygote, the workers it forks, and the memory they share with the harness.
//!
//! The harness forks a warden before it starts any thread, and that the [`Zygote`]: whatever becomes of both, the warden
//! ends what they leave. For each run it makes a [`region::Region`] of shared
//! memory and sends it to the zygote with an order; the zygote forks the workers, which write their [`log`] into the
//! region, watch critical sections with [`overlap`], and are tied to their parent by a [`lifeline`], so that nothing
//! outlives the harness. What a subject started by itself carries a [`Marker`], by which a later run finds it.
//!
//! Nothing here knows what the workers do: that is the engines' business.

pub mod arena;
pub mod attention;
mod channel;
pub(crate) mod children;
pub mod clock;
pub mod hang;
pub mod launch;
pub mod lifeline;
pub mod log;
pub mod marker;
pub mod overlap;
pub mod perturbed;
pub mod procfs;
pub mod region;
pub mod slot;
pub mod spawner;
pub(crate) mod sys;
mod warden;
mod zygote;

pub use channel::Channel;
pub use marker::{Handle, Marker, sweep};
pub use zygote::Zygote;
pub(crate) use zygote::{Request, Server};
