//! Doors for tests of the C contract. The release has none of them.

use super::guard::call;
use super::instance::{Use, enter, primacy_instance};

/// Panics inside of a call on the instance.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_testing_panic(p: *mut primacy_instance) -> i32 {
    // SAFETY: the contract of handles.
    call(|| unsafe { enter(p, Use::Decides, |_, _| panic!("planted in a call")) })
}
