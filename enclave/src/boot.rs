//! Boot: the program is PID 1 of the image. Nothing here is known to the rest.
//!
//! Not run yet in an emulated machine: the emulator tier (issue 8) will. Order and constants follow the Nitro boot
//! protocol as aws-nitro-enclaves-sdk-bootstrap has it: mounts, heartbeat to the parent, then the application.

use std::{
    fs,
    io::{self, Read, Write},
};

use nix::mount::{MsFlags, mount};

/// The command line of the image, device tokens aside. It is in PCR0 and PCR1 together with its neighbours, and hashes
/// have no boundaries, so it is compared here too.
pub const COMMAND_LINE: &str = "reboot=k panic=30 pci=off nomodules console=ttyS0 random.trust_cpu=on root=/dev/ram0";
/// Where the policy ramdisk puts the policy.
pub const POLICY_PATH: &str = "/packproof.toml";
/// The heartbeat: one byte there and back tells the parent that the enclave has booted.
const HEARTBEAT_PORT: u32 = 9000;
const HEARTBEAT: u8 = 0xb7;
const PARENT_CID: u32 = 3;

/// Why the machine does not come up. The panic that follows ends the enclave.
#[derive(Debug)]
pub enum BootError {
    /// A file system could not be mounted.
    Mount(&'static str, nix::Error),
    /// A file could not be read.
    Read(&'static str, io::Error),
    /// The kernel was started with other words than the measured ones.
    CommandLine,
    /// Memory could not be locked or core dumps not be switched off.
    Memory(nix::Error),
    /// The parent did not answer the heartbeat.
    Heartbeat(io::Error),
}

impl std::fmt::Display for BootError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mount(target, error) => write!(f, "mounting {target}: {error}"),
            Self::Read(path, error) => write!(f, "reading {path}: {error}"),
            Self::CommandLine => f.write_str("the kernel command line is not the measured one"),
            Self::Memory(error) => write!(f, "protecting memory: {error}"),
            Self::Heartbeat(error) => write!(f, "heartbeat to the parent: {error}"),
        }
    }
}

impl std::error::Error for BootError {}

/// Mounts what the program needs, checks the command line, protects memory, and returns the policy's bytes.
///
/// # Errors
/// [`BootError`].
pub fn boot() -> Result<Vec<u8>, BootError> {
    mount_fs("proc", "/proc")?;
    mount_fs("sysfs", "/sys")?;
    mount_fs("devtmpfs", "/dev")?;
    let words = fs::read_to_string("/proc/cmdline").map_err(|error| BootError::Read("/proc/cmdline", error))?;
    if !command_line_is_measured(&words) {
        return Err(BootError::CommandLine);
    }
    forbid_dumps()?;
    lock_memory()?;
    fs::read(POLICY_PATH).map_err(|error| BootError::Read(POLICY_PATH, error))
}

/// No core dump, no tracing of this process by another.
///
/// # Errors
/// [`BootError::Memory`].
pub fn forbid_dumps() -> Result<(), BootError> {
    use nix::sys::{prctl, resource};
    prctl::set_dumpable(false).map_err(BootError::Memory)?;
    resource::setrlimit(resource::Resource::RLIMIT_CORE, 0, 0).map_err(BootError::Memory)
}

/// Nothing is paged out. An enclave has no swap; this holds should a kernel ever have one.
fn lock_memory() -> Result<(), BootError> {
    use nix::sys::mman::{MlockAllFlags, mlockall};
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE).map_err(BootError::Memory)
}

/// Tells the parent that the enclave is up.
///
/// # Errors
/// [`BootError::Heartbeat`].
pub fn heartbeat() -> Result<(), BootError> {
    let beat = || -> io::Result<u8> {
        let mut parent = vsock::VsockStream::connect_with_cid_port(PARENT_CID, HEARTBEAT_PORT)?;
        parent.write_all(&[HEARTBEAT])?;
        let mut answer = [0];
        parent.read_exact(&mut answer)?;
        Ok(answer[0])
    };
    match beat() {
        Ok(HEARTBEAT) => Ok(()),
        Ok(_) => Err(BootError::Heartbeat(io::ErrorKind::InvalidData.into())),
        Err(error) => Err(BootError::Heartbeat(error)),
    }
}

fn mount_fs(kind: &'static str, target: &'static str) -> Result<(), BootError> {
    fs::create_dir_all(target).map_err(|error| BootError::Read(target, error))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    match mount(Some(kind), target, Some(kind), flags, None::<&str>) {
        // the kernel mounts devtmpfs by itself where it is configured to
        Ok(()) | Err(nix::Error::EBUSY) => Ok(()),
        Err(error) => Err(BootError::Mount(target, error)),
    }
}

/// The hypervisor appends `virtio_mmio.device=` words, which name devices and change no behaviour of ours.
fn command_line_is_measured(found: &str) -> bool {
    let words = found.split_ascii_whitespace().filter(|word| !word.starts_with("virtio_mmio.device="));
    words.eq(COMMAND_LINE.split_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_device_words_may_be_added() {
        assert!(command_line_is_measured(&format!("{COMMAND_LINE} virtio_mmio.device=4K@0x1000:5\n")));
        assert!(!command_line_is_measured(&format!("{COMMAND_LINE} init=/bin/sh\n")));
        assert!(!command_line_is_measured(&COMMAND_LINE.replace("nomodules ", "")));
    }
}
