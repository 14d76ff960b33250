//! Doors for tests of the C contract. The release has none of them.

use super::guard::call;
use super::instance::{Use, enter, primacy_instance};
use crate::instance::PanicPlace;

/// Panics inside of a call on the instance.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_testing_panic(p: *mut primacy_instance) -> i32 {
    // SAFETY: the contract of handles.
    call(|| unsafe { enter(p, Use::Decides, |_, _| panic!("planted in a call")) })
}

/// Makes the engine panic at its next input.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_testing_panic_engine(p: *mut primacy_instance) -> i32 {
    // SAFETY: the contract of handles.
    call(|| unsafe { enter(p, Use::Decides, |i, _| i.plant_panic(PanicPlace::Engine).map(|()| 0)) })
}
