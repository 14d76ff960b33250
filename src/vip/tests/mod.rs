//! Tests of the tables of placement and of one VIP's machine. The whole tier is run by `tests/tier_simulation`.

mod machine;
mod placement;
