//! Addresses of PD, and of others, as people write them: what may be shown, and who asks there.
//!
//! An address in here is without a user and a password; they stand beside it, and print as nothing.

use percent_encoding::percent_decode_str;
pub use secrecy::{ExposeSecret, SecretString};

/// One address.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `scheme://host:port/prefix`, without credentials and a slash at the end.
    pub url: String,
    pub login: Option<Login>,
}

/// Who asks, decoded.
#[derive(Debug, Clone)]
pub struct Login {
    pub user: String,
    pub password: SecretString,
}

/// Each address of a text: separated by commas, `http://` left out or not.
pub fn read(text: &str) -> Vec<Endpoint> {
    text.split(',')
        .map(str::trim)
        .filter(|e| !e.is_empty())
        .map(endpoint)
        .collect()
}

/// The addresses alone.
pub fn parse(text: &str) -> Vec<String> {
    read(text).into_iter().map(|e| e.url).collect()
}

fn endpoint(text: &str) -> Endpoint {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    // A password may hold anything but what ends the authority; some write an @ as it is.
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (login, host) = match authority.rsplit_once('@') {
        Some((login, host)) => (Some(login), host),
        None => (None, authority),
    };
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let login = login.filter(|login| !login.is_empty()).map(|login| {
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        Login {
            user: decoded(user),
            password: decoded(password).into(),
        }
    });
    Endpoint {
        url: format!("{scheme}://{host}{}", path.trim_end_matches('/')),
        login,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_however_it_is_written() {
        assert_eq!(
            parse(" pd0:2379, https://pd1:2379/ ,,"),
            ["http://pd0:2379", "https://pd1:2379"]
        );
        assert!(parse(" , ").is_empty());
    }

    #[test]
    fn who_asks_is_no_part_of_what_is_shown() {
        for (text, url, user, password) in [
            ("op:p%40ss@pd0:2379", "http://pd0:2379", "op", "p@ss"),
            ("https://op@pd/x/y/", "https://pd/x/y", "op", ""),
            ("https://a%3Ab:c:d@pd:1", "https://pd:1", "a:b", "c:d"),
            ("http://op:p@ss@pd:1", "http://pd:1", "op", "p@ss"),
            ("http://op:%2F%C3%A9@[::1]:1", "http://[::1]:1", "op", "/é"),
        ] {
            let read = read(text);
            let login = read[0].login.as_ref().unwrap();
            assert_eq!(
                (
                    read[0].url.as_str(),
                    login.user.as_str(),
                    login.password.expose_secret()
                ),
                (url, user, password),
                "{text}"
            );
            let shown = format!("{read:?}");
            assert!(password.is_empty() || !shown.contains(password), "{shown}");
        }
        let path = &read("http://pd:1/@x")[0];
        assert_eq!(
            (path.url.as_str(), path.login.is_none()),
            ("http://pd:1/@x", true)
        );
    }
}
