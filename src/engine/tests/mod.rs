mod explained;
mod failures;
mod intents;
mod operators;
mod orders;
mod reload;
mod restarts;
mod world;
