mod explained;
mod failures;
mod intents;
mod operators;
mod orders;
mod restarts;
mod world;
