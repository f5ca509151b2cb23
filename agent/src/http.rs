//! What the HTTP clients of the agent share: bodies that end, and the cause of a failure.

use reqwest::Response;

/// The body as far as `limit` bytes, and whether there was more.
pub async fn body(mut response: Response, limit: usize) -> Result<(Vec<u8>, bool), reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > limit {
            body.truncate(limit);
            return Ok((body, true));
        }
    }
    Ok((body, false))
}

/// The innermost cause: the outer ones say only that there is one.
pub fn cause(e: &dyn std::error::Error) -> String {
    let mut inner = e;
    while let Some(next) = inner.source() {
        inner = next;
    }
    inner.to_string()
}
