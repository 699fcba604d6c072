//! The provider against a metadata service on loopback. No test may reach the real one: each names its endpoint.

use std::{
    sync::{Arc, Mutex as StdMutex},
    time::Instant,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

const TOKEN: &str = "AQAEAE6o-token==";
const PATHS: [&str; 3] = [
    "PUT /latest/api/token",
    "GET /latest/meta-data/iam/security-credentials/",
    "GET /latest/meta-data/iam/security-credentials/packproof-host",
];

fn at(minutes: u64) -> UnixMillis {
    UnixMillis::from_civil(2026, 11, 24, 6, 0, 0).unwrap().saturating_add_millis(minutes * 60_000)
}

fn role(id: &str, expires: UnixMillis) -> String {
    let text = expires.to_rfc3339();
    format!(
        r#"{{"Code":"Success","LastUpdated":"2026-11-24T00:00:00Z","Type":"AWS-HMAC","AccessKeyId":"{id}",
            "SecretAccessKey":"wJalr/secret","Token":"IQoJ//session==","Expiration":"{}Z"}}"#,
        &text[..19]
    )
}

/// What the fake does for one path: a status with a body, or no answer at all.
#[derive(Clone)]
enum Reply {
    Status(u16, String),
    Silence,
    Reset,
}

struct Service {
    endpoint: SocketAddr,
    replies: Arc<StdMutex<[Reply; 3]>>,
    heads: Arc<StdMutex<Vec<String>>>,
}

impl Service {
    /// A service with one role, as EC2's.
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = listener.local_addr().unwrap();
        let ok = |body: &str| Reply::Status(200, body.to_owned());
        let replies = [ok(TOKEN), ok("packproof-host"), ok(&role("ASIAFIRST", at(60)))];
        let (replies, heads) = (Arc::new(StdMutex::new(replies)), Arc::new(StdMutex::new(Vec::new())));
        let service = Self { endpoint, replies: Arc::clone(&replies), heads: Arc::clone(&heads) };
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (replies, heads) = (Arc::clone(&replies), Arc::clone(&heads));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.unwrap());
                    }
                    let head = String::from_utf8(head).unwrap();
                    let path = PATHS.iter().position(|path| head.starts_with(&format!("{path} HTTP/1.1\r\n")));
                    let reply = match path {
                        Some(path) => replies.lock().unwrap()[path].clone(),
                        None => Reply::Status(404, String::new()),
                    };
                    heads.lock().unwrap().push(head);
                    match reply {
                        Reply::Status(status, body) => {
                            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                            let _ = stream.write_all(answer.as_bytes()).await;
                        }
                        Reply::Silence => std::future::pending().await,
                        Reply::Reset => stream.set_zero_linger().unwrap(),
                    }
                });
            }
        });
        service
    }

    fn set(&self, path: usize, reply: Reply) {
        self.replies.lock().unwrap()[path] = reply;
    }

    fn answer(&self, path: usize, status: u16, body: &str) {
        self.set(path, Reply::Status(status, body.to_owned()));
    }

    /// Requests since the last call.
    fn heads(&self) -> Vec<String> {
        std::mem::take(&mut self.heads.lock().unwrap())
    }

    async fn error(&self) -> CredentialsError {
        Provider::instance(self.endpoint).current(at(0)).await.err().unwrap()
    }
}

/// The same provider as the command's, with an endpoint where nothing listens.
fn from_env(env: &[(&'static str, &str)]) -> Result<Provider, CredentialsError> {
    let lookup = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
    Provider::from_env(&lookup, "127.0.0.1:9".parse().unwrap())
}

#[tokio::test]
async fn the_environment_comes_first() {
    let service = Service::start().await;
    let url = format!("http://{}", service.endpoint);
    let endpoint = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str());
    let both = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"), endpoint];
    let given = from_env(&both).unwrap().current(at(0)).await.unwrap();
    assert_eq!((given.access_key_id.as_str(), given.secret_access_key.as_str(), given.session_token), ("a", "b", None));
    let three = [both.as_slice(), &[("AWS_SESSION_TOKEN", "c")]].concat();
    assert_eq!(from_env(&three).unwrap().current(at(0)).await.unwrap().session_token.as_deref(), Some("c"));
    assert!(service.heads().is_empty());

    let empty =
        [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", ""), ("AWS_EC2_METADATA_DISABLED", "false"), endpoint];
    assert_eq!(from_env(&empty).unwrap().current(at(0)).await.unwrap().access_key_id, "ASIAFIRST");
}

#[test]
fn missing_credentials_are_named_one_by_one() {
    let missing = |env: &[(&'static str, &str)]| match from_env(env) {
        Err(CredentialsError::Missing(names)) => names,
        other => panic!("{other:?}"),
    };
    assert_eq!(missing(&[("AWS_ACCESS_KEY_ID", "a")]), ["AWS_SECRET_ACCESS_KEY"]);
    assert_eq!(missing(&[("AWS_SECRET_ACCESS_KEY", "a"), ("AWS_ACCESS_KEY_ID", "")]), ["AWS_ACCESS_KEY_ID"]);
    for disabled in ["true", "True", "TRUE"] {
        let names = missing(&[("AWS_EC2_METADATA_DISABLED", disabled)]);
        assert_eq!(names, ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]);
    }
    assert!(from_env(&[]).is_ok());
    let elsewhere = from_env(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://metadata.test")]);
    assert_eq!(elsewhere.unwrap_err().code(), "imds_endpoint");
}

#[tokio::test]
async fn a_fetch_is_three_requests_with_a_token() {
    let service = Service::start().await;
    let found = Provider::instance(service.endpoint).current(at(0)).await.unwrap();
    assert_eq!((found.access_key_id.as_str(), found.secret_access_key.as_str()), ("ASIAFIRST", "wJalr/secret"));
    assert_eq!(found.session_token.as_deref(), Some("IQoJ//session=="));
    let heads = service.heads();
    assert_eq!(heads.len(), 3);
    let host = format!("\r\nHost: {}\r\n", service.endpoint);
    for ((head, path), header) in heads.iter().zip(PATHS).zip([
        "\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\n".to_owned(),
        format!("\r\nX-aws-ec2-metadata-token: {TOKEN}\r\n"),
        format!("\r\nX-aws-ec2-metadata-token: {TOKEN}\r\n"),
    ]) {
        assert!(head.starts_with(&format!("{path} HTTP/1.1\r\n")) && head.contains(&host), "{head}");
        assert!(head.contains(&header), "{head}");
    }
}

#[tokio::test]
async fn credentials_are_kept_and_refreshed_before_they_expire() {
    let service = Service::start().await;
    let provider = Arc::new(Provider::instance(service.endpoint));
    let id = async |now| provider.current(now).await.map(|found| found.access_key_id).map_err(|error| error.code());
    assert_eq!(id(at(0)).await.as_deref(), Ok("ASIAFIRST"));
    service.answer(2, 200, &role("ASIASECOND", at(120)));
    assert_eq!(service.heads().len(), 3);
    // Kept until five minutes before the end.
    assert_eq!(id(at(55).saturating_sub_millis(1)).await.as_deref(), Ok("ASIAFIRST"));
    assert!(service.heads().is_empty());
    // Many at once share one fetch.
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let provider = Arc::clone(&provider);
        calls.spawn(async move { provider.current(at(55)).await.map(|found| found.access_key_id).unwrap() });
    }
    assert!(calls.join_all().await.iter().all(|id| id == "ASIASECOND"));
    assert_eq!(service.heads().len(), 3);

    // The service fails: the old ones serve to their end, asked about again every half minute.
    service.answer(1, 403, "");
    assert_eq!(id(at(116)).await.as_deref(), Ok("ASIASECOND"));
    assert_eq!(service.heads().len(), 2);
    assert_eq!(id(at(116).saturating_add_millis(29_999)).await.as_deref(), Ok("ASIASECOND"));
    assert!(service.heads().is_empty());
    assert_eq!(id(at(116).saturating_add_millis(30_000)).await.as_deref(), Ok("ASIASECOND"));
    assert_eq!(service.heads().len(), 2);
    assert_eq!(id(at(120)).await, Err("imds_status"));
    // It comes back.
    service.answer(1, 200, "packproof-host");
    service.answer(2, 200, &role("ASIATHIRD", at(180)));
    assert_eq!(id(at(121)).await.as_deref(), Ok("ASIATHIRD"));
}

#[tokio::test]
async fn each_refusal_has_its_name() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = Provider::instance(nobody).current(at(0)).await.err().unwrap();
    assert_eq!((error.code(), error.exit_code()), ("imds_unreachable", 3));

    let body = role("ASIA", at(60));
    let without = |name: &str| body.replace(name, "Other");
    let cases: Vec<(usize, u16, String, &str)> = vec![
        (0, 403, String::new(), "imds_status"),
        (0, 200, String::new(), "imds_token"),
        (0, 200, "a b".into(), "imds_token"),
        (0, 200, "a\r\nX: y".into(), "imds_token"),
        (0, 200, "a".repeat(1025), "imds_token"),
        (1, 401, String::new(), "imds_status"),
        (1, 404, String::new(), "imds_no_role"),
        (1, 200, String::new(), "imds_no_role"),
        (1, 200, "../api/token".into(), "imds_role_name"),
        (2, 404, String::new(), "imds_status"),
        (2, 200, r#"{"Code":"AssumeRoleUnauthorizedAccess","Message":"..."}"#.into(), "imds_role_failed"),
        (2, 200, r#"["Success","ASIA","secret","token","2026-11-24T07:00:00Z"]"#.into(), "imds_content"),
        (2, 200, format!("{body}x"), "imds_content"),
        (2, 200, without("\"Code\""), "imds_content"),
        (2, 200, without("AccessKeyId"), "imds_content"),
        (2, 200, without("SecretAccessKey"), "imds_content"),
        (2, 200, without("Token"), "imds_content"),
        (2, 200, without("Expiration"), "imds_content"),
        (2, 200, body.replace("ASIA", "AS IA"), "imds_content"),
        (2, 200, body.replace("ASIA", &"A".repeat(129)), "imds_content"),
        (2, 200, body.replace("ASIA", ""), "imds_content"),
        (2, 200, body.replace("07:00:00Z", "07:00:00"), "imds_content"),
        (2, 200, role("ASIA", at(0)), "imds_expired"),
        (2, 200, "a".repeat(20_000), "imds_http"),
    ];
    for (path, status, answer, code) in cases {
        let service = Service::start().await;
        service.answer(path, status, &answer);
        let error = service.error().await;
        assert_eq!((error.code(), error.exit_code()), (code, 3), "{path} {status} {answer:.60}");
        let text = error.to_string();
        assert!(!text.contains("wJalr") && !text.contains("IQoJ") && !error.hint().is_empty(), "{text}");
    }
    let service = Service::start().await;
    service.answer(2, 200, r#"{"Code":"a\u001b[2J"}"#);
    assert!(service.error().await.to_string().ends_with("no reason"));
}

#[tokio::test]
async fn what_breaks_off_is_tried_three_times_and_silence_once() {
    for reply in [Reply::Reset, Reply::Status(503, String::new()), Reply::Status(429, String::new())] {
        let service = Service::start().await;
        service.set(0, reply.clone());
        let code = service.error().await.code();
        assert_eq!(code, if matches!(reply, Reply::Reset) { "imds_io" } else { "imds_status" });
        assert_eq!(service.heads().len(), 3);
    }
    for (path, code) in [(0, "imds_token_timeout"), (1, "imds_timeout")] {
        let service = Service::start().await;
        service.set(path, Reply::Silence);
        let begun = Instant::now();
        assert_eq!(service.error().await.code(), code);
        assert!(begun.elapsed() >= http::ANSWER);
        assert_eq!(service.heads().len(), path + 1);
    }
}
