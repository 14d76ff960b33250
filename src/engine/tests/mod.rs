mod failures;
mod operators;
mod orders;
mod restarts;
mod world;
