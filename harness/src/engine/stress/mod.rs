//! The stress engine: lets real processes run freely, and records what they do.

use std::sync::atomic::AtomicBool;

use super::{Progress, StressRun};
use crate::plan::StressPlan;
use crate::process::Zygote;

/// Runs the plan. Setting `stop` ends it early and cleanly: what was seen until then is given back.
pub fn run(
    _zygote: &mut Zygote,
    _plan: &StressPlan,
    _stop: &AtomicBool,
    _progress: &dyn Progress,
) -> Result<StressRun, super::EngineError> {
    Err(super::EngineError("there is no stress engine yet".into()))
}
