mod explained;
mod failures;
mod intents;
mod operators;
mod restarts;
mod world;
