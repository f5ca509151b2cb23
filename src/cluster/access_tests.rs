//! A real TLS server, that asks for client certificates or not, and what is said of all that goes
//! wrong on the way to it.

use super::*;
use crate::cluster::{
    Client, Options, Prometheus,
    http::{Http, get},
};
use agent_lab::cluster_id::ClusterId;
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use operator_ledger::{PersonLedger, SystemId, connections::TlsFiles, endpoints};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use std::{
    convert::Infallible,
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// An authority of the test's own.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate of a name, and its key.
    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    /// Files in a folder, as somebody who is a client names them.
    fn files(&self, folder: &Path, who: Option<&str>) -> TlsFiles {
        let write = |name: &str, text: String| {
            let file = folder.join(name);
            fs::write(&file, text).unwrap();
            Some(file)
        };
        let pair = who.map(|who| self.sign(who));
        let (cert, key) = pair
            .map(|(cert, key)| (cert.pem(), key.serialize_pem()))
            .unzip();
        TlsFiles {
            ca: write("ca.crt", self.pem()),
            cert: cert.and_then(|text| write("client.crt", text)),
            key: key.and_then(|text| write("client.key", text)),
        }
    }
}

/// What was asked: path and headers.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// Serves `answer` of each path over TLS. The port, and what was asked.
async fn serve(
    authority: &Authority,
    wants_client: bool,
    answer: impl Fn(&str) -> String + Clone + Send + Sync + 'static,
) -> (u16, Asked) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (cert, key) = authority.sign("localhost");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let builder = ServerConfig::builder();
    let builder = if wants_client {
        let mut roots = RootCertStore::empty();
        roots.add(authority.0.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
        builder.with_client_cert_verifier(verifier.unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let config = builder
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Asked::default();
    let note = asked.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, note, answer) = (acceptor.clone(), note.clone(), answer.clone());
            tokio::spawn(async move {
                let Ok(socket) = acceptor.accept(socket).await else {
                    return;
                };
                let service = service_fn(move |request: Request<Incoming>| {
                    let path = request.uri().path().to_owned();
                    let headers = format!("{:?}", request.headers());
                    let text = answer(&path);
                    note.lock().unwrap().push((path, headers));
                    std::future::ready(Ok::<_, Infallible>(Response::new(text)))
                });
                let http = hyper::server::conn::http1::Builder::new();
                let _ = http.serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    (port, asked)
}

fn http(access: Access) -> Http {
    Http::new(Duration::from_secs(5), access, true).unwrap()
}

#[tokio::test]
async fn pd_and_its_stores_are_asked_with_a_certificate_and_without_one_it_is_said() {
    let tmp = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    // A status port asks for no client certificate.
    let metrics = "tikv_raftstore_region_count{type=\"leader\"} 1\n";
    let (status, _) = serve(&authority, false, move |_| metrics.to_owned()).await;
    let stores = format!(
        r#"{{"count":1,"stores":[{{"store":{{"id":1,"address":"localhost:1",
        "status_address":"localhost:{status}","state_name":"Up"}},"status":{{}}}}]}}"#
    );
    let answer = move |path: &str| match path {
        "/pd/api/v1/stores" => stores.clone(),
        "/pd/api/v1/members" => {
            r#"{"header":{"cluster_id":7},"members":[{"name":"pd0"}],"leader":{"name":"pd0"}}"#
                .to_owned()
        }
        _ => r#"{"count":1,"regions":[]}"#.to_owned(),
    };
    let (pd, _) = serve(&authority, true, answer).await;
    let address = format!("https://localhost:{pd}");
    let look = |tls: TlsFiles| {
        let address = address.clone();
        async move {
            let options = Options::with(&address, Access::new(Whose::Cluster, tls));
            Client::new(options).unwrap().observe().await
        }
    };
    let seen = look(authority.files(tmp.path(), Some("operator"))).await;
    let store = &seen.stores.fresh().unwrap()[0];
    // The first look has no rate yet, but it was read.
    let why = store.traffic.error.as_ref().unwrap();
    assert!(
        matches!(why, crate::cluster::UnknownReason::FirstSample),
        "{why}"
    );

    let why = look(authority.files(tmp.path(), None))
        .await
        .stores
        .error
        .unwrap();
    assert!(
        why.as_str().contains("asks for a client certificate")
            && why.as_str().contains("--tls-cert"),
        "{why}"
    );
    let why = look(Authority::new().files(tmp.path(), None))
        .await
        .stores
        .error
        .unwrap();
    assert!(
        why.as_str().contains("not trusted here") && why.as_str().contains("--tls-ca"),
        "{why}"
    );
    let plain = Options::new(&format!("localhost:{pd}"));
    let why = Client::new(plain)
        .unwrap()
        .observe()
        .await
        .stores
        .error
        .unwrap();
    assert!(
        why.as_str().contains("may speak TLS") && why.as_str().contains("https://"),
        "{why}"
    );
}

#[tokio::test]
async fn who_does_not_speak_tls_is_no_riddle() {
    let app = axum::Router::new().fallback(|| async { "{}" });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let tmp = tempfile::tempdir().unwrap();
    let tls = Authority::new().files(tmp.path(), None);
    let http = http(Access::new(Whose::Cluster, tls));
    let why = get(&http, &format!("https://localhost:{port}/x"))
        .await
        .unwrap_err();
    assert!(why.to_string().contains("does not speak TLS"), "{why}");
}

#[tokio::test]
async fn prometheus_is_shown_token_tenant_and_login_and_none_of_them_is_printed() {
    let tmp = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let answer = r#"{"status":"success","data":{"result":[]}}"#;
    let (port, asked) = serve(&authority, false, move |_| answer.to_owned()).await;
    let token = tmp.path().join("token");
    fs::write(&token, "first-token\n").unwrap();
    let mut access = Access::new(Whose::Prometheus, authority.files(tmp.path(), None));
    access.token_file = Some(token.clone());
    access.header("X-Scope-OrgID", &"team-a".into()).unwrap();
    let url = format!("https://localhost:{port}/prometheus/");
    let second = Duration::from_secs(1);
    let mut prometheus = Prometheus::with(&url, second * 5, access, None).unwrap();
    prometheus.traffic(&[], second).await.unwrap();
    fs::write(&token, "second-token\n").unwrap();
    prometheus.traffic(&[], second).await.unwrap();
    let seen = asked.lock().unwrap().clone();
    assert!(
        seen.iter()
            .all(|(path, _)| path.starts_with("/prometheus/api/v1/"))
    );
    assert!(seen[0].1.contains("Bearer first-token"), "{seen:?}");
    assert!(seen.last().unwrap().1.contains("Bearer second-token"));
    assert!(seen.iter().all(|(_, headers)| headers.contains("team-a")));
    let shown = format!("{prometheus:?}");
    assert!(
        !shown.contains("team-a") && !shown.contains("-token"),
        "{shown}"
    );

    fs::remove_file(&token).unwrap();
    let why = prometheus
        .traffic(&[], second)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        why.contains("token file") && why.contains(&token.display().to_string()),
        "{why}"
    );

    // op:p@ss/w in base64.
    let tls = authority.files(tmp.path(), None);
    let url = format!("https://op:p%40ss%2Fw@localhost:{port}/x");
    let access = Access::new(Whose::Prometheus, tls);
    let mut prometheus = Prometheus::with(&url, second * 5, access, None).unwrap();
    prometheus.traffic(&[], second).await.unwrap();
    let seen = asked.lock().unwrap().last().unwrap().1.clone();
    assert!(seen.contains("Basic b3A6cEBzcy93"), "{seen}");
    let shown = format!("{prometheus:?} {}", prometheus.place());
    assert!(
        !shown.contains("p@ss") && !shown.contains("p%40ss"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_login_of_pd_goes_to_pd_alone_and_a_prefix_is_kept() {
    let tmp = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (pd, at_pd) = serve(&authority, false, |_| "{}".to_owned()).await;
    let (other, at_other) = serve(&authority, false, |_| "{}".to_owned()).await;
    let access = Access::new(Whose::Cluster, authority.files(tmp.path(), None));
    let options = Options::with(
        &format!("https://op:secret@localhost:{pd}/pd-proxy/"),
        access,
    );
    assert_eq!(options.pd, [format!("https://localhost:{pd}/pd-proxy")]);
    let shown = format!("{options:?}");
    assert!(!shown.contains("secret"), "{shown}");
    let http = http(options.access.clone());
    let url = |port| format!("https://localhost:{port}/metrics");
    get(&http, &url(pd)).await.unwrap();
    get(&http, &url(other)).await.unwrap();
    assert!(at_pd.lock().unwrap()[0].1.contains("Basic "));
    assert!(!at_other.lock().unwrap()[0].1.contains("Basic "));
    let seen = Client::new(options).unwrap().observe().await;
    let why = seen.stores.error.unwrap();
    assert!(why.as_str().contains("/pd-proxy/pd/api/v1/"), "{why}");
    assert!(!why.as_str().contains("secret"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_asks_pd_which_cluster_it_is_with_the_same_certificate_and_login() {
    let tmp = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let answer = r#"{"id":7468201134512345678}"#;
    let (pd, asked) = serve(&authority, true, move |_| answer.to_owned()).await;
    let tls = authority.files(tmp.path(), Some("operator"));
    let mut access = Access::new(Whose::Cluster, tls);
    let url = format!("https://op:secret@localhost:{pd}");
    let endpoints = access.take_logins(endpoints::read(&url));
    let ledger = PersonLedger::open(&tmp.path().join("tickets.db"))
        .await
        .unwrap();
    let cluster = ClusterId::find(None, endpoints, access);
    let told = async {
        loop {
            if let Some(id) = cluster.now(&ledger).await {
                return id;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(30), told).await;
    assert_eq!(told.unwrap(), SystemId::from(7_468_201_134_512_345_678));
    let (path, headers) = asked.lock().unwrap()[0].clone();
    assert_eq!(path, "/pd/api/v1/cluster");
    // op:secret in base64.
    assert!(headers.contains("Basic b3A6c2VjcmV0"), "{headers}");
    assert!(!format!("{cluster:?}").contains("secret"));
}

#[tokio::test]
async fn a_certificate_that_is_renewed_is_used() {
    let tmp = tempfile::tempdir().unwrap();
    let (old, new) = (Authority::new(), Authority::new());
    let (port, _) = serve(&new, true, |_| "{}".to_owned()).await;
    let http = http(Access::new(
        Whose::Cluster,
        old.files(tmp.path(), Some("operator")),
    ));
    let url = format!("https://localhost:{port}/x");
    assert!(get(&http, &url).await.is_err());
    let text = new.pem() + "\n# renewed\n";
    new.files(tmp.path(), Some("operator"));
    fs::write(tmp.path().join("ca.crt"), text).unwrap();
    get(&http, &url).await.unwrap();
}

#[test]
fn a_file_that_is_no_use_is_named() {
    let tmp = tempfile::tempdir().unwrap();
    let bad = tmp.path().join("bad.pem");
    fs::write(&bad, "no certificate").unwrap();
    let gone = tmp.path().join("gone.pem");
    for tls in [
        TlsFiles {
            ca: Some(bad.clone()),
            ..TlsFiles::default()
        },
        TlsFiles {
            ca: Some(gone.clone()),
            ..TlsFiles::default()
        },
        TlsFiles {
            cert: Some(bad.clone()),
            key: Some(bad.clone()),
            ca: None,
        },
        TlsFiles {
            key: Some(bad.clone()),
            ..TlsFiles::default()
        },
    ] {
        let access = Access::new(Whose::Cluster, tls);
        let why = Http::new(Duration::from_secs(1), access, true).unwrap_err();
        let why = why.to_string();
        let named = [&bad, &gone]
            .iter()
            .any(|f| why.contains(&f.display().to_string()));
        assert!(named, "{why}");
    }
}
