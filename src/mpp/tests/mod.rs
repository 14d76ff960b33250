mod commands;
mod pushing;

#[path = "../../../tests/mpp_proxy/mod.rs"]
mod proxy;
