//! The HTTP client of the lab's own processes: short limits, no proxy.

use std::time::Duration;

/// A client whose every request ends within `limit`.
pub fn client(limit: Duration) -> reqwest::Result<reqwest::Client> {
    // Fails only if one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .connect_timeout(limit)
        .timeout(limit)
        .redirect(reqwest::redirect::Policy::none())
        // Nothing here is encrypted: no certificates need to be read.
        .tls_certs_only([])
        .build()
}
