//! `packproof-local up`: KMS, egress and enclave until stopped.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use packproof::egress::{Egress, Log};
use packproof_local_kms::LocalKms;
use packproof_receipt::policy::{KmsEndpoint, Policy};
use packproof_wire::{Described, FrameKind, Request, handshake, message, read_frame, write_frame};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, UnixListener, UnixStream},
    process::{Child, Command},
    signal::unix::{Signal, SignalKind, signal},
};

use crate::{
    LocalError, image, pin,
    state::{State, read},
};

/// The host name in the policy's KMS URL; the CA issues for nothing else.
pub(crate) const KMS_HOST: &str = "localhost";
/// A program of some tens of megabytes is measured, keys are made: this is generous.
const START_TIMEOUT: Duration = Duration::from_secs(30);
const PREDECESSOR_TIMEOUT: Duration = Duration::from_secs(3);
const START_POLL: Duration = Duration::from_millis(10);

/// What `up` was asked for.
pub(crate) struct Options {
    pub(crate) dir: PathBuf,
    pub(crate) policy: Option<PathBuf>,
    pub(crate) pin: bool,
    pub(crate) json: bool,
    pub(crate) nsm_latency_ms: u64,
}

/// Serves until SIGTERM or SIGINT, or until the enclave ends.
pub(crate) fn run(options: &Options, out: &mut dyn Write) -> Result<(), LocalError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| LocalError::Enclave(error.to_string()))?;
    runtime.block_on(serve(options, out))
}

async fn serve(options: &Options, out: &mut dyn Write) -> Result<(), LocalError> {
    // before anything is started or printed: whoever reads the report may stop `up` at once
    let mut stop = Stop::listen()?;
    let state = State::open(&options.dir)?;
    let pki = state.pki()?;
    let kms = Arc::new(open_kms(&state, pki.root_der()).await?);
    let policy = options.policy.as_deref().map(|path| local_policy(&state, &kms, path)).transpose()?;
    let (listener, port) = listen(&state, policy.as_ref().map(|policy| policy.port)).await?;
    let serving_kms = tokio::spawn(Arc::clone(&kms).serve(listener));
    let mut report = json!({
        "kms_url": format!("https://{KMS_HOST}:{port}"),
        "kms_ca": state.ca_pem(),
        "root": state.root_pem(),
        "keys": state.keys()?,
        "env": environment(&kms),
    });
    let mut enclave = None;
    if let Some(policy) = &policy {
        let base = image::running()?;
        let measured = base.measure(&policy.bytes)?;
        base.write_release(&state.release_dir(), "packproof-local")?;
        drop(base);
        let left = pin::pin(&state, &kms, &policy.parsed, &measured, options.pin)?;
        let egress = egress(&state, port)?;
        let (child, described) = tokio::select! {
            started = start_enclave(&state, &policy.path, options.nsm_latency_ms) => started?,
            // the process that was being started ends as its handle is dropped
            () = stop.asked() => {
                remove_sockets(&state);
                return Ok(());
            }
        };
        enclave = Some((child, egress));
        describe(&mut report, &state, policy, &described, &left);
    }
    print(out, &report, options.json);
    let ended = wait(&mut stop, enclave.as_mut().map(|(child, _)| child)).await;
    if let Some((mut child, egress)) = enclave {
        // already gone when it ended by itself
        let _ = child.kill().await;
        egress.abort();
        remove_sockets(&state);
    }
    serving_kms.abort();
    ended
}

/// Opens the KMS; one that was told to stop a moment ago may still hold the directory.
async fn open_kms(state: &State, root_der: &[u8]) -> Result<LocalKms, LocalError> {
    let give_up = tokio::time::Instant::now() + PREDECESSOR_TIMEOUT;
    loop {
        match state.kms(root_der.to_vec()) {
            Err(LocalError::Kms(packproof_local_kms::Error::InUse { .. })) if tokio::time::Instant::now() < give_up => {
                tokio::time::sleep(START_POLL).await;
            }
            opened => return opened,
        }
    }
}

/// A policy that names this directory's KMS.
struct LocalPolicy {
    path: PathBuf,
    bytes: Vec<u8>,
    parsed: Policy,
    port: u16,
}

fn local_policy(state: &State, kms: &LocalKms, path: &Path) -> Result<LocalPolicy, LocalError> {
    let bytes = read(path)?;
    let parsed = Policy::parse(&bytes).map_err(LocalError::Policy)?;
    let url = format!("https://{KMS_HOST}:{}", state.kms_port()?.unwrap_or_default());
    match &parsed.kms {
        KmsEndpoint::Simulated { host, ca, .. } if host == KMS_HOST && ca.trim() != kms.ca_pem().trim() => {
            Err(LocalError::OtherCa)
        }
        KmsEndpoint::Simulated { host, port, .. } if host == KMS_HOST => {
            let (path, port) = (path.to_owned(), *port);
            Ok(LocalPolicy { path, bytes, parsed, port })
        }
        _ => Err(LocalError::NotSimulated { url }),
    }
}

/// The KMS listens where the policy says, else where it did before, else anywhere.
async fn listen(state: &State, wanted: Option<u16>) -> Result<(TcpListener, u16), LocalError> {
    let wanted = wanted.or(state.kms_port()?).unwrap_or_default();
    let failed = |error| LocalError::Port(wanted, error);
    let listener = TcpListener::bind(("127.0.0.1", wanted)).await.map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    state.write_kms_port(port)?;
    Ok((listener, port))
}

fn egress(state: &State, kms_port: u16) -> Result<tokio::task::JoinHandle<()>, LocalError> {
    let path = state.egress_socket();
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).map_err(|error| LocalError::File(path, error))?;
    let loopback = vec![std::net::SocketAddr::from(([127, 0, 0, 1], kms_port))];
    let egress = Egress::new(vec![(KMS_HOST.to_owned(), kms_port)]).with_addresses(KMS_HOST, kms_port, loopback);
    Ok(tokio::spawn(egress.serve(listener, Log::new(std::io::stderr()))))
}

/// Starts this very program as the enclave and waits until it describes itself.
async fn start_enclave(state: &State, policy: &Path, nsm_latency_ms: u64) -> Result<(Child, Described), LocalError> {
    let failed = |reason: String| LocalError::Enclave(reason);
    let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let dir = state.socket().parent().map(Path::to_owned).unwrap_or_default();
    let mut child = Command::new(program)
        .arg("enclave")
        .arg("--dir")
        .arg(dir)
        .arg("--policy")
        .arg(policy)
        .arg("--nsm-latency-ms")
        .arg(nsm_latency_ms.to_string())
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let socket = state.socket();
    let started = tokio::time::timeout(START_TIMEOUT, async {
        loop {
            if let Ok(described) = ask(&socket).await {
                return Ok(described);
            }
            if let Ok(Some(status)) = child.try_wait() {
                return Err(failed(format!("its process ended with {status}; see above")));
            }
            tokio::time::sleep(START_POLL).await;
        }
    });
    let described = started.await.map_err(|_| failed(format!("no answer within {START_TIMEOUT:?}")))??;
    Ok((child, described))
}

async fn ask(socket: &Path) -> Result<Described, String> {
    let mut stream = UnixStream::connect(socket).await.map_err(|error| error.to_string())?;
    handshake::connect(&mut stream, packproof_wire::PACK_PORT).await.map_err(|error| error.to_string())?;
    let request = message::encode(&Request::Describe {});
    write_frame(&mut stream, FrameKind::Request, &request).await.map_err(|error| error.to_string())?;
    let (kind, body) =
        read_frame(&mut stream, packproof_wire::MAX_FRAME_BYTES).await.map_err(|error| error.to_string())?;
    message::decode_answer::<Described>(kind, &body)?.map_err(|error| error.message)
}

fn describe(report: &mut Value, state: &State, policy: &LocalPolicy, described: &Described, left: &[String]) {
    let keys: Vec<Value> = policy
        .parsed
        .packs
        .iter()
        .map(|pack| {
            json!({ "identity": pack.identity, "environment": pack.environment, "verify_key": pack.signer.public_key })
        })
        .collect();
    let Value::Object(members) = report else { return };
    members.insert("enclave".into(), json!(format!("unix:{}", state.socket().display())));
    members.insert("release".into(), json!(state.release_dir().join(packproof_eif::RELEASE_FILE)));
    members.insert("policy".into(), json!(policy.path));
    members.insert("pcr0".into(), json!(described.pcr0));
    members.insert("verify_keys".into(), json!(keys));
    members.insert("pinned_elsewhere".into(), json!(left));
}

/// Access keys by role, as the AWS tools' environment variables.
fn environment(kms: &LocalKms) -> Value {
    let mut roles = serde_json::Map::new();
    for principal in kms.principals() {
        let Some((_, name)) = principal.arn.rsplit_once('/') else { continue };
        roles.insert(
            name.to_owned(),
            json!({
                "AWS_ACCESS_KEY_ID": principal.access_key_id,
                "AWS_SECRET_ACCESS_KEY": principal.secret_access_key.expose(),
                "AWS_REGION": packproof_local_kms::REGION,
            }),
        );
    }
    Value::Object(roles)
}

fn print(out: &mut dyn Write, report: &Value, json: bool) {
    // whoever started `up` and went away does not need the report
    let _ = if json { writeln!(out, "{report}") } else { writeln!(out, "{}", human(report)) };
    let _ = out.flush();
}

fn human(report: &Value) -> String {
    let text = |name: &str| report.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut lines =
        format!("local KMS   {}\nits CA      {}\nNSM root    {}\n", text("kms_url"), text("kms_ca"), text("root"));
    if report.get("enclave").is_some() {
        lines += &format!(
            "enclave     {}\nrelease     {}\nPCR0        {}\n\nexport PACKPROOF_ENCLAVE={}\n",
            text("enclave"),
            text("release"),
            text("pcr0"),
            text("enclave")
        );
    }
    let ci = report.get("env").and_then(|env| env.get("ci"));
    for (name, value) in ci.and_then(Value::as_object).into_iter().flatten() {
        lines += &format!("export {name}={}\n", value.as_str().unwrap_or_default());
    }
    for arn in report.get("pinned_elsewhere").and_then(Value::as_array).into_iter().flatten() {
        let arn = arn.as_str().unwrap_or_default();
        lines += &format!("\nnot pinned: {arn} trusts another image or use; start with --pin to trust this one\n");
    }
    lines + "\nserving until stopped (Ctrl-C)"
}

fn remove_sockets(state: &State) {
    for socket in [state.socket(), state.egress_socket()] {
        // one that is not there is what is wanted
        let _ = std::fs::remove_file(socket);
    }
}

/// SIGTERM and SIGINT, from the moment that this is made.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> Result<Self, LocalError> {
        let listen = |kind| signal(kind).map_err(|error| LocalError::Enclave(error.to_string()));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn wait(stop: &mut Stop, enclave: Option<&mut Child>) -> Result<(), LocalError> {
    let ended = async {
        match enclave {
            Some(child) => child.wait().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = stop.asked() => Ok(()),
        status = ended => Err(LocalError::Enclave(match status {
            Ok(status) => format!("its process ended with {status}"),
            Err(error) => error.to_string(),
        })),
    }
}
