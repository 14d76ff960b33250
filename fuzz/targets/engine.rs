//! The engine under random inputs: four bytes choose the pools, then four bytes are an act and its choices.

use super::engine_world::{World, configuration};
use super::input::Input;

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let choices = [input.byte(), input.byte(), input.byte(), input.byte()];
    let mut world = World::new(configuration(&choices), None);
    while !input.is_empty() {
        let act = input.byte();
        world.act(act, [input.byte(), input.byte(), input.byte()]);
    }
    world.explain();
}
