//! PID 1 of the image: boot, then serve with the real NSM and real vsock.
#![forbid(unsafe_code)]

/// Wipes all memory that is freed: libraries free buffers that held plaintext (age's stream writer among them), and
/// nothing unsealed may survive a request.
#[global_allocator]
static WIPING: zeroizing_alloc::ZeroAlloc<std::alloc::System> = zeroizing_alloc::ZeroAlloc(std::alloc::System);

use std::{error::Error, io::Write, process::ExitCode, sync::Arc};

use packproof_enclave::{
    boot,
    event::{Event, EventSink},
    policy::MeasuredPolicy,
    serve::serve,
    transport::Vsock,
};
use packproof_nsm::{Device, Nsm};
use packproof_wire::PACK_PORT;

/// Events as JSON lines on the console, which only a debug enclave shows and which holds nothing secret.
struct Console;

impl EventSink for Console {
    fn emit(&self, event: &Event) {
        let line = serde_json::to_string(event).unwrap_or_default();
        // a console that cannot be written to changes nothing
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}

fn main() -> ExitCode {
    let Err(error) = run() else { return ExitCode::SUCCESS };
    let _ = writeln!(std::io::stderr(), "packproof-enclave: error: {error}");
    ExitCode::from(3)
}

fn run() -> Result<(), Box<dyn Error>> {
    let policy = boot::boot()?;
    let nsm: Arc<dyn Nsm> = Arc::new(Device::open()?);
    let policy = MeasuredPolicy::load(&policy, nsm.as_ref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let transport = Arc::new(Vsock::listen(PACK_PORT)?);
        boot::heartbeat()?;
        serve(nsm, transport, policy, Arc::new(Console)).await?;
        Ok(())
    })
}
