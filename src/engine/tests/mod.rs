mod failures;
mod operators;
mod restarts;
mod world;
