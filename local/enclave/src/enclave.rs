//! The enclave process: the library of the image with the mock NSM and Unix sockets.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use packproof_enclave::{
    boot::forbid_dumps,
    event::{Event, EventSink},
    policy::MeasuredPolicy,
    serve::serve,
    transport::{StreamFuture, Transport},
};
use packproof_local_nsm::MockNsm;
use packproof_nsm::Nsm;
use packproof_wire::{PACK_PORT, handshake};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{Mutex, mpsc},
};

use crate::{LocalError, image, state};

/// A client that has not written its CONNECT line by then is dropped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Streams whose handshake is done and that wait to be served.
const ACCEPT_QUEUE: usize = 64;

/// Runs the enclave until it is killed.
pub(crate) fn run(dir: &Path, policy: &Path, nsm_latency_ms: u64) -> Result<(), LocalError> {
    let state = state::State::open(dir)?;
    let base = image::running()?;
    let policy = state::read(policy)?;
    let measured = base.measure(&policy)?;
    let pcrs = BTreeMap::from([(0, measured.pcr0), (1, measured.pcr1), (2, measured.pcr2)]);
    drop(base);
    let latency = (nsm_latency_ms > 0).then(|| Duration::from_millis(nsm_latency_ms));
    let nsm = MockNsm::new(&state.pki()?, pcrs, Box::new(state::now), latency).map_err(LocalError::Nsm)?;
    let nsm: Arc<dyn Nsm> = Arc::new(nsm);
    let refused = |error: &dyn std::fmt::Display| LocalError::Enclave(error.to_string());
    let policy = MeasuredPolicy::load(&policy, nsm.as_ref()).map_err(|error| refused(&error))?;
    forbid_dumps().map_err(|error| refused(&error))?;
    // an enclave ends with its host, even one that is killed
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).map_err(|error| refused(&error))?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| refused(&error))?;
    runtime.block_on(async {
        let transport = Local::listen(&state.socket(), state.egress_socket()).map_err(|error| refused(&error))?;
        match serve(nsm, Arc::new(transport), policy, Arc::new(Events)).await {
            Ok(never) => match never {},
            Err(error) => Err(refused(&error)),
        }
    })
}

/// Events as JSON lines on standard output.
struct Events;

impl EventSink for Events {
    fn emit(&self, event: &Event) {
        let line = serde_json::to_string(event).unwrap_or_default();
        // an unread log changes nothing
        let _ = writeln!(io::stdout(), "{line}");
    }
}

/// Unix sockets in vsock's place, as vhost-device-vsock lays them out.
struct Local {
    accepted: Mutex<mpsc::Receiver<io::Result<UnixStream>>>,
    egress: PathBuf,
}

impl Local {
    fn listen(socket: &Path, egress: PathBuf) -> io::Result<Self> {
        match std::fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(socket)?;
        let (sender, accepted) = mpsc::channel(ACCEPT_QUEUE);
        tokio::spawn(async move {
            loop {
                let accepted = listener.accept().await;
                let sender = sender.clone();
                tokio::spawn(async move {
                    let stream = match accepted {
                        Ok((mut stream, _)) => {
                            let shaken = handshake::accept(&mut stream, PACK_PORT);
                            match tokio::time::timeout(HANDSHAKE_TIMEOUT, shaken).await {
                                Ok(Ok(())) => Ok(stream),
                                _ => return,
                            }
                        }
                        Err(error) => Err(error),
                    };
                    // closed only when the enclave ends
                    let _ = sender.send(stream).await;
                });
            }
        });
        Ok(Self { accepted: Mutex::new(accepted), egress })
    }
}

impl Transport for Local {
    fn accept(&self) -> StreamFuture<'_> {
        Box::pin(async {
            let next = self.accepted.lock().await.recv().await;
            next.unwrap_or_else(|| Err(io::ErrorKind::BrokenPipe.into()))
        })
    }

    fn connect_host(&self, _port: u32) -> StreamFuture<'_> {
        Box::pin(UnixStream::connect(&self.egress))
    }
}
