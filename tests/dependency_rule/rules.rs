//! The allow-list.

/// Rooms that know no clock, socket, file, thread, environment and no randomness of their own.
pub const ROOMS: &[&str] = &[
    "engine", "pool", "policy", "probe", "wire", "gtid", "select", "config", "store", "control", "metrics",
    "mpp", "respond", "vip",
];

/// Rooms whose outcome must be the same on every machine: no floating point.
const DECIDING: &[&str] = &["engine", "pool", "policy", "vip"];

/// What pure rooms may name of `std`, `core` and `alloc`, with all that lies below.
pub const STD: &[&str] = &[
    "any::type_name",
    "array",
    "ascii",
    "borrow",
    "boxed",
    "cell::Cell",
    "cell::RefCell",
    "char",
    "clone",
    "cmp",
    "collections::BTreeMap",
    "collections::BTreeSet",
    "collections::BinaryHeap",
    "collections::VecDeque",
    "collections::binary_heap",
    "collections::btree_map",
    "collections::btree_set",
    "collections::vec_deque",
    "convert",
    "default",
    "error",
    "fmt",
    "hash::Hash",
    "hash::Hasher",
    "hint::black_box",
    "iter",
    "marker::Copy",
    "marker::PhantomData",
    "mem::replace",
    "mem::size_of",
    "mem::swap",
    "mem::take",
    "net::AddrParseError",
    "net::IpAddr",
    "net::Ipv4Addr",
    "net::Ipv6Addr",
    "net::SocketAddr",
    "net::SocketAddrV4",
    "net::SocketAddrV6",
    "num",
    "ops",
    "option",
    "path",
    "rc::Rc",
    "result",
    "slice",
    "str",
    "string",
    "sync::Arc",
    "time::Duration",
    "vec",
];

/// Crates that pure rooms may name.
pub const CRATES: &[&str] = &["bitflags", "hmac", "mysql_common", "serde", "serde_json", "sha2", "toml"];

/// Macros that pure rooms may call, beside their own and imported ones (whose path is checked).
pub const MACROS: &[&str] = &[
    "assert",
    "assert_eq",
    "assert_ne",
    "concat",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "env", // at compile time
    "format",
    "format_args",
    "include_str", // at compile time
    "matches",
    "stringify",
    "unreachable",
    "vec",
    "write",
    "writeln",
];

/// Names that no pure room uses, wherever they come from: order by hash, clocks.
pub const NAMES: &[&str] = &["DefaultHasher", "HashMap", "HashSet", "Instant", "RandomState", "SystemTime"];

/// Methods of allowed types (`Path`, `SocketAddr`, slices, `Arc`) that ask the system or show a pointer.
pub const METHODS: &[&str] = &[
    "as_mut_ptr",
    "as_ptr",
    "canonicalize",
    "exists",
    "from_raw_parts",
    "into_raw",
    "is_dir",
    "is_file",
    "is_symlink",
    "metadata",
    "read_dir",
    "read_link",
    "symlink_metadata",
    "to_socket_addrs",
    "try_exists",
];

pub const PRIMITIVES: &[&str] = &[
    "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "str", "u8", "u16", "u32",
    "u64", "u128", "usize",
];

/// Whether the module belongs to a pure room.
pub fn is_pure(module: &[String]) -> bool {
    module.first().is_some_and(|room| ROOMS.contains(&room.as_str()) || room == "error")
}

/// Whether decisions are made in the module.
pub fn decides(module: &[String]) -> bool {
    module.first().is_some_and(|room| DECIDING.contains(&room.as_str()))
}
