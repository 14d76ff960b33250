use super::Config;
use crate::error::{Error, ErrorCode, Result};
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct ConfigBuilder {}
#[allow(missing_docs, unused_variables)]
impl ConfigBuilder {
    pub fn new() -> ConfigBuilder { ConfigBuilder {} }
    pub fn load_text(&mut self, text: &str, name: &str) -> Result<()> { Ok(()) }
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> { Ok(()) }
    pub fn add_pool(&mut self, spec: &str) -> Result<()> { Ok(()) }
    pub fn build(&self) -> Result<Config> { Err(Error::new(ErrorCode::Config, "not built yet")) }
}
