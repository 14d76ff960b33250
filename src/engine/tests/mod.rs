mod explained;
mod failures;
mod figures;
mod intents;
mod operators;
mod orders;
mod restarts;
mod world;
