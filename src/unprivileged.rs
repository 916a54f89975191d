//! For tests: a thread for which permissions hold, though root runs the tests.

use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

/// Runs something without the two capabilities by which root may read and write anything.
pub(crate) fn unprivileged<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let mut sets = capabilities(None).expect("the capabilities of this thread");
            sets.effective.remove(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
            set_capabilities(None, sets).expect("whoever has some may give them up");
            run()
        });
        thread.join().expect("what it asserts holds")
    })
}
