//! The `web_fetch` tool: one page of the public web as text.
//!
//! Bounded in size, depth, time and redirects. Does not run scripts, keeps no cookies and sends no
//! credential. What it returns is data of others; marking it as such is for [`crate::prompt`].

use super::public_address::{PublicOnly, is_public};
use crate::http::{self, cause};
use encoding_rs::{Encoding, UTF_8};
use operator_ledger::clean;
use reqwest::{
    Response, StatusCode, Url,
    header::{ACCEPT, CONTENT_TYPE, LOCATION},
    redirect::Policy,
};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::sync::Semaphore;

/// For the whole of it, redirects and conversion included.
const LIMIT: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(10);
const REDIRECTS: usize = 5;
/// Bytes of a page that are read, unpacked.
const LARGEST: usize = 4 * 1024 * 1024;
/// Bytes of HTML that are converted, and how deep it may be nested: the parser's time grows with
/// the square of the depth.
const LARGEST_HTML: usize = 1024 * 1024;
const DEEPEST: usize = 1_000;
/// One page at a time is converted.
static CONVERTING: Semaphore = Semaphore::const_new(1);
/// Columns of the text.
const WIDTH: usize = 120;

/// A page that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Where it came from, after redirects.
    pub url: String,
    pub status: u16,
    /// Its content type.
    pub kind: String,
    /// Bytes read.
    pub bytes: usize,
    /// There was more than is read.
    pub cut: bool,
    pub text: String,
}

/// Reads pages.
#[derive(Debug)]
pub struct Fetcher {
    /// Made when it is first needed: most sessions read no page, and its certificates take memory.
    client: OnceLock<reqwest::Client>,
    private: bool,
}

impl Fetcher {
    /// `private`: whether addresses inside networks may be read too.
    pub fn new(private: bool) -> Self {
        Self {
            client: OnceLock::new(),
            private,
        }
    }

    fn client(&self) -> Result<&reqwest::Client, String> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!(
                "agent_lab/",
                env!("CARGO_PKG_VERSION"),
                " (web_fetch)"
            ))
            .redirect(Policy::none())
            .connect_timeout(CONNECT);
        if !self.private {
            // A proxy would look names up itself, wherever they lead.
            builder = builder.dns_resolver(Arc::new(PublicOnly)).no_proxy();
        }
        let client = builder
            .build()
            .map_err(|e| format!("cannot make an HTTP client: {e}"))?;
        Ok(self.client.get_or_init(|| client))
    }

    /// The page at `url`; the error is for the model.
    pub async fn fetch(&self, url: &str) -> Result<Page, String> {
        tokio::time::timeout(LIMIT, self.follow(url))
            .await
            .unwrap_or_else(|_| Err(format!("not read within {} s", LIMIT.as_secs())))
    }

    async fn follow(&self, url: &str) -> Result<Page, String> {
        let mut url = Url::parse(url.trim()).map_err(|e| format!("{url} is no address: {e}"))?;
        for _ in 0..=REDIRECTS {
            self.check(&url)?;
            let response = self
                .client()?
                .get(url.clone())
                .header(
                    ACCEPT,
                    "text/html, text/plain, application/json, text/*;q=0.9, */*;q=0.1",
                )
                .send()
                .await
                .map_err(|e| format!("{} cannot be read: {}", url, cause(&e.without_url())))?;
            if !response.status().is_redirection() {
                return page(url, response).await;
            }
            let to = response.headers().get(LOCATION);
            let to = to.and_then(|v| v.to_str().ok()).ok_or_else(|| {
                format!("{url} answered {} without saying where", response.status())
            })?;
            url = url
                .join(to)
                .map_err(|e| format!("{url} redirects to {to}, which is no address: {e}"))?;
        }
        Err(format!(
            "redirected more than {REDIRECTS} times, last to {url}"
        ))
    }

    fn check(&self, url: &Url) -> Result<(), String> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!(
                "only http and https are read, not {}",
                url.scheme()
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("an address with a name or password in it is not read".into());
        }
        let literal = match url.host() {
            Some(url::Host::Ipv4(ip)) => Some(ip.into()),
            Some(url::Host::Ipv6(ip)) => Some(ip.into()),
            Some(url::Host::Domain(_)) => None,
            None => return Err(format!("{url} names no host")),
        };
        if let Some(ip) = literal
            && !self.private
            && !is_public(ip)
        {
            return Err(format!(
                "{ip} is no address of the public web; for the cluster use curl in the shell"
            ));
        }
        Ok(())
    }
}

async fn page(url: Url, response: Response) -> Result<Page, String> {
    let status = response.status();
    let header = response.headers().get(CONTENT_TYPE);
    let header = header.and_then(|v| v.to_str().ok()).unwrap_or_default();
    let mut parts = header.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let charset = parts
        .find_map(|p| p.strip_prefix("charset="))
        .map(|c| c.trim_matches('"').to_string());
    let form = Form::of(&kind).ok_or_else(|| {
        let size = response.content_length();
        let size = size.map_or(String::new(), |n| format!(", {n} bytes"));
        format!("{url} is {kind}{size}: only text is read")
    })?;
    let (body, mut cut) = http::body(response, LARGEST)
        .await
        .map_err(|e| format!("{url} broke off: {}", cause(&e.without_url())))?;
    let encoding = charset
        .and_then(|c| Encoding::for_label(c.as_bytes()))
        .unwrap_or(UTF_8);
    let bytes = body.len();
    // Before the markup is read as well as after: it can hide either way.
    let text = clean::clean(&encoding.decode(&body).0);
    let text = match form {
        Form::Plain => text,
        Form::Html => {
            cut |= text.len() > LARGEST_HTML;
            // One after the other: a page that takes long holds up no more than the next page.
            let _turn = CONVERTING.acquire().await;
            tokio::task::spawn_blocking(move || from_html(&text))
                .await
                .map_err(|_| "the page could not be converted to text".to_string())??
        }
    };
    Ok(Page {
        url: url.to_string(),
        status: status.as_u16(),
        kind,
        bytes,
        cut,
        text: clean::clean(&text),
    })
}

impl Page {
    /// How the server answered, in words.
    pub fn answer(&self) -> String {
        let reason = StatusCode::from_u16(self.status).ok();
        let reason = reason
            .and_then(|s| s.canonical_reason())
            .unwrap_or_default();
        format!("{} {reason}", self.status).trim_end().to_string()
    }
}

enum Form {
    Html,
    Plain,
}

impl Form {
    fn of(kind: &str) -> Option<Self> {
        let words = [
            "json",
            "xml",
            "yaml",
            "toml",
            "javascript",
            "x-sh",
            "x-ndjson",
        ];
        match kind {
            "text/html" | "application/xhtml+xml" => Some(Self::Html),
            "" => Some(Self::Plain),
            _ if kind.starts_with("text/") => Some(Self::Plain),
            _ if kind.starts_with("application/") && words.iter().any(|w| kind.contains(w)) => {
                Some(Self::Plain)
            }
            _ => None,
        }
    }
}

fn from_html(html: &str) -> Result<String, String> {
    let html = &html[..html.floor_char_boundary(LARGEST_HTML)];
    if depth(html) > DEEPEST {
        return Err(format!(
            "the page is nested more than {DEEPEST} levels deep"
        ));
    }
    html2text::config::plain()
        .no_link_wrapping()
        .allow_width_overflow()
        .string_from_read(html.as_bytes(), WIDTH)
        .map_err(|e| format!("the page could not be converted to text: {e}"))
}

/// How deep the tags are nested, as a parser would nest them or deeper: an end tag that ends
/// nothing changes nothing, and one that ends an element further out ends what is in it too.
fn depth(html: &str) -> usize {
    let mut open: Vec<String> = Vec::new();
    let mut deepest = 0;
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
            continue;
        }
        let (ends, tag) = match rest.strip_prefix('/') {
            Some(tag) => (true, tag),
            None => (false, rest),
        };
        let length = tag
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(tag.len());
        if !tag.starts_with(|c: char| c.is_ascii_alphabetic()) {
            continue;
        }
        let name = tag[..length].to_ascii_lowercase();
        rest = after_tag(&tag[length..]);
        if ends {
            if let Some(at) = open.iter().rposition(|n| *n == name) {
                open.truncate(at);
            }
        } else if !VOID.contains(&name.as_str()) {
            open.push(name);
            deepest = deepest.max(open.len());
            if deepest > DEEPEST {
                return deepest;
            }
        }
    }
    deepest
}

/// What comes after the tag whose attributes `text` begins with.
fn after_tag(text: &str) -> &str {
    let mut quote = None;
    for (i, c) in text.char_indices() {
        match (quote, c) {
            (None, '>') => return &text[i + 1..],
            (None, '"' | '\'') => quote = Some(c),
            (Some(q), c) if c == q => quote = None,
            _ => {}
        }
    }
    ""
}

/// Elements that nothing is nested into, or that end by themselves where the next one begins.
const VOID: &[&str] = &[
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source",
    "track", "wbr", "p", "li", "td", "tr", "th", "dt", "dd", "option",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_becomes_readable_text() {
        let text = from_html(
            "<html><head><title>T</title><style>p{}</style><script>evil()</script></head><body>\
             <h1>Store down</h1><p>See <a href='https://x.example/a'>the docs</a> &amp; more.</p>\
             <ul><li>one</li><li>two</li></ul><table><tr><td>a</td><td>b</td></tr></table></body></html>",
        )
        .unwrap();
        for word in [
            "# Store down",
            "the docs",
            "https://x.example/a",
            "& more",
            "* one",
            "a",
            "b",
        ] {
            assert!(text.contains(word), "{word} in {text}");
        }
        assert!(!text.contains("evil"), "{text}");
    }

    #[test]
    fn a_tower_of_tags_is_refused() {
        let tower = "<div>".repeat(50_000);
        assert!(from_html(&tower).unwrap_err().contains("nested"));
        assert!(depth(&"<p>x<br><li>".repeat(5_000)) < 10);
        assert_eq!(depth("<a><b></b><c></c></a><d></d>"), 2);
        // None of this closes anything.
        for idle in [
            "</p>",
            "</span>",
            "<!-- </div> -->",
            "<br title='</div>'>",
            "< /div>",
        ] {
            let tower = format!("<div>{idle}").repeat(2_000);
            assert!(from_html(&tower).unwrap_err().contains("nested"), "{idle}");
        }
        assert_eq!(
            depth("<a title='>'><b></a><c>"),
            2,
            "what is in it ends with it"
        );
    }

    #[test]
    fn what_is_no_text_is_not_read() {
        for yes in ["text/plain", "application/json", "application/atom+xml", ""] {
            assert!(Form::of(yes).is_some(), "{yes}");
        }
        for no in [
            "image/png",
            "application/octet-stream",
            "application/pdf",
            "video/mp4",
        ] {
            assert!(Form::of(no).is_none(), "{no}");
        }
    }
}
