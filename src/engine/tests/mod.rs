mod failures;
mod figures;
mod operators;
mod restarts;
mod world;
