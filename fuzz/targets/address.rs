//! Addresses of nodes.

use primacy::pool::Address;

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Address::parse(text) {
        Ok(address) => {
            let printed = address.to_string();
            assert_eq!(Address::parse(&printed).as_ref(), Ok(&address), "{text:?} printed as {printed:?}");
            assert!(!printed.contains(char::is_control), "{printed:?}");
        }
        Err(problem) => {
            assert!(!problem.is_empty() && problem.len() < 4096, "{problem:?}");
            assert!(!problem.contains('\n'), "{problem:?}");
        }
    }
}
