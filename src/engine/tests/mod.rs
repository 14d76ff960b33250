mod failures;
mod operators;
mod reload;
mod restarts;
mod world;
