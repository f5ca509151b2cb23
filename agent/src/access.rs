//! What somebody is asked with: files for TLS, a token, a login, headers. None of it is ever
//! printed.
//!
//! Files are read when a client is made, and again when they have changed: certificates and tokens
//! are renewed under a process that runs for months.

use operator_ledger::{
    connections::TlsFiles,
    endpoints::{Endpoint, ExposeSecret, Login, SecretString},
};
use reqwest::{
    Certificate, ClientBuilder, Identity, RequestBuilder, Url,
    header::{HeaderName, HeaderValue},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// A file of those is no use, or cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AccessError(pub String);

/// Who is asked, as far as it matters for what to do when it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Whose {
    /// PD, or a store.
    #[default]
    Cluster,
    Prometheus,
}

impl Whose {
    /// The start of flags, and the section of config.toml.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Cluster => ("--tls", "[tls]"),
            Self::Prometheus => ("--prometheus", "[prometheus]"),
        }
    }

    pub fn give_ca(self) -> String {
        let (flag, section) = self.words();
        format!(
            "give the authority's certificate with {flag}-ca FILE, or ca in {section} of config.toml"
        )
    }

    pub fn give_identity(self) -> String {
        let (flag, section) = self.words();
        format!(
            "give one with {flag}-cert FILE and {flag}-key FILE, or cert and key in {section} of config.toml"
        )
    }

    pub fn use_tls(self) -> String {
        let address = match self {
            Self::Cluster => "the addresses of PD begin",
            Self::Prometheus => "its address begins",
        };
        let flag = self.words().0;
        format!(
            "it may speak TLS: then {address} with https://, and {flag}-ca, {flag}-cert and {flag}-key name the files"
        )
    }
}

#[derive(Debug, Clone, Default)]
pub struct Access {
    pub whose: Whose,
    pub tls: TlsFiles,
    /// A bearer token is in it.
    pub token_file: Option<PathBuf>,
    /// Each value is marked as sensitive.
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Who asks at an address, and nowhere else.
    logins: Vec<(Url, Login)>,
}

impl Access {
    pub fn new(whose: Whose, tls: TlsFiles) -> Self {
        Self {
            whose,
            tls,
            ..Self::default()
        }
    }

    /// For people who write `Name: value`, or a file.
    pub fn header(&mut self, name: &str, value: &SecretString) -> Result<(), String> {
        let bad = |what: &str| format!("header {name:?}: its {what} is not one of HTTP");
        let key: HeaderName = name.trim().parse().map_err(|_| bad("name"))?;
        let value = value.expose_secret().trim();
        let mut value: HeaderValue = value.parse().map_err(|_| bad("value"))?;
        value.set_sensitive(true);
        self.headers.push((key, value));
        Ok(())
    }

    /// The addresses, without the logins that are in them, which are kept here.
    pub fn take_logins(&mut self, endpoints: Vec<Endpoint>) -> Vec<String> {
        let mut urls = Vec::new();
        for Endpoint { url, login } in endpoints {
            if let (Ok(parsed), Some(login)) = (Url::parse(&url), login) {
                self.logins.push((parsed, login));
            }
            urls.push(url);
        }
        urls
    }

    /// A request with all that belongs to it.
    pub fn dress(
        &self,
        mut request: RequestBuilder,
        url: &str,
    ) -> Result<RequestBuilder, AccessError> {
        if let Ok(url) = Url::parse(url) {
            let same = |(at, _): &&(Url, Login)| at.origin() == url.origin();
            if let Some((_, login)) = self.logins.iter().find(same) {
                let password = login.password.expose_secret();
                request = request.basic_auth(&login.user, Some(password));
            }
        }
        if let Some(file) = &self.token_file {
            let token = fs::read_to_string(file).map_err(|e| unreadable("token", file, &e))?;
            request = request.bearer_auth(token.trim());
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        Ok(request)
    }

    /// Whom to trust and who we are. `encrypted`: some address is `https`. Else no certificates
    /// are read, which takes longer than everything else a dashboard does before its first frame.
    pub fn secure(
        &self,
        mut builder: ClientBuilder,
        encrypted: bool,
    ) -> Result<ClientBuilder, AccessError> {
        let TlsFiles { ca, cert, key } = &self.tls;
        builder = match ca {
            Some(file) => {
                let pem = fs::read(file).map_err(|e| unreadable("authority", file, &e))?;
                let certificates = Certificate::from_pem_bundle(&pem)
                    .map_err(|_| unusable("authority", file, "no certificate in PEM"))?;
                if certificates.is_empty() {
                    return Err(unusable("authority", file, "no certificate in PEM"));
                }
                builder.tls_certs_only(certificates)
            }
            None if !encrypted => builder.tls_certs_only([]),
            None => builder,
        };
        match (cert, key) {
            (Some(cert), Some(key)) => {
                let mut pem = fs::read(cert).map_err(|e| unreadable("certificate", cert, &e))?;
                pem.push(b'\n');
                pem.extend(fs::read(key).map_err(|e| unreadable("key", key, &e))?);
                let identity = Identity::from_pem(&pem)
                    .map_err(|_| unusable("certificate", cert, "with its key, no pair in PEM"))?;
                Ok(builder.identity(identity))
            }
            (None, None) => Ok(builder),
            (Some(one), None) | (None, Some(one)) => {
                let why = "a certificate and its key are given together";
                Err(unusable("TLS", one, why))
            }
        }
    }

    /// Changes when a file does.
    pub fn stamp(&self) -> Vec<Option<(SystemTime, u64)>> {
        let files = [&self.tls.ca, &self.tls.cert, &self.tls.key];
        let stamp = |file: &PathBuf| {
            let about = fs::metadata(file).ok()?;
            Some((about.modified().ok()?, about.len()))
        };
        files.into_iter().flatten().map(stamp).collect()
    }
}

fn unreadable(what: &str, file: &Path, why: &io::Error) -> AccessError {
    AccessError(format!("{what} file {}: {why}", file.display()))
}

fn unusable(what: &str, file: &Path, why: &str) -> AccessError {
    AccessError(format!("{what} file {}: {why}", file.display()))
}
