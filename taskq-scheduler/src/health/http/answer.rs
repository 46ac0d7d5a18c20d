//! [`Body`]: the beginning of an answer's body. An endless one is read no further than its bound.

use reqwest::Response;
use taskq_core::limits::HEALTH_BODY;

use super::{super::finding::Reason, failure};

/// What was read.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    /// Whether there was more.
    pub(super) is_cut: bool,
}

impl Body {
    pub(super) async fn read(response: &mut Response) -> Result<Self, Reason> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failure::told(&error))? {
            let room = HEALTH_BODY - bytes.len();
            if chunk.len() > room {
                bytes.extend_from_slice(&chunk[..room]);
                return Ok(Self { bytes, is_cut: true });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Self { bytes, is_cut: false })
    }
}
