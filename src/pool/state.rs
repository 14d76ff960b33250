//! The words for a node's health and role.

use core::fmt;

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $number:literal => $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i32)]
        pub enum $name { $($(#[$vmeta])* $variant = $number),+ }

        impl $name {
            /// Every value, in the order of its number.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word, as configuration, command line and bindings spell it.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }

            /// The value of a word; letter case does not matter.
            pub fn from_name(word: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|v| v.name().eq_ignore_ascii_case(word))
            }

            /// The value of a number.
            pub fn from_number(number: i32) -> Option<$name> {
                $name::ALL.iter().copied().find(|v| *v as i32 == number)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// The health ladder, best first.
    Status {
        /// Nothing is wrong.
        Ok = 0 => "OK",
        /// One quarter of the way down.
        OkInfo = 1 => "OK_INFO",
        /// Half of the way down.
        OkWarn = 2 => "OK_WARN",
        /// One step before the end.
        OkCritical = 3 => "OK_CRITICAL",
        /// The node counts as failed.
        Fail = 4 => "FAIL",
    }
}

words! {
    /// What a node is in its pool.
    State {
        /// Not yet seen in good health.
        Unknown = 0 => "UNKNOWN",
        /// Healthy and waiting.
        Standby = 1 => "STANDBY",
        /// Takes the clients.
        Active = 2 => "ACTIVE",
        /// Answers, but its replication failed.
        FailedOnline = 3 => "FAILED_ONLINE",
        /// Does not answer.
        FailedOffline = 4 => "FAILED_OFFLINE",
    }
}

impl State {
    /// Whether the state is one of the two failed ones.
    pub const fn is_failed(self) -> bool {
        matches!(self, State::FailedOnline | State::FailedOffline)
    }
}

words! {
    /// The configured place of a node: who is preferred as ACTIVE.
    NodeType {
        /// The preferred one, at most one per pool.
        Primary = 0 => "PRIMARY",
        /// A stand-in, in the order of configuration.
        Secondary = 1 => "SECONDARY",
    }
}

words! {
    /// How the members of a pool relate to each other.
    PoolKind {
        /// Members replicate to each other; ACTIVE is a routing decision.
        Ring = 0 => "ring",
        /// One source, the rest replicas.
        Replicated = 1 => "replicated",
        /// Group Replication or Galera elects; the pool follows.
        Group = 2 => "group",
        /// Stateless routers.
        Router = 3 => "router",
    }
}

words! {
    /// The rule table that judges a pool.
    PolicyName {
        /// Without the original's faults; the default.
        Safe = 0 => "safe",
        /// The original's decisions, exactly.
        Mpp = 1 => "mpp",
    }
}

words! {
    /// The status of a pool as a whole.
    PoolStatus {
        /// The pool may have an ACTIVE node.
        Ok = 0 => "OK",
        /// All checkpoints fail: nobody may be ACTIVE.
        Fail = 1 => "FAIL",
    }
}
