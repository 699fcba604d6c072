//! How a connection through the egress ended: one word for the log, the counters and the enclave.

use packproof_wire::ErrorClass;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Outcome {
    /// Carried until both sides had ended, the enclave had closed its stream, or one side had ended and the other was
    /// gone.
    Done,
    /// Not connected in the end: the enclave was gone before the answer to its dial frame.
    EnclaveClosed,
    /// The peer was gone while neither side had ended.
    PeerClosed,
    /// Nothing moved for [`EgressLimits::idle`](super::EgressLimits::idle).
    Idle,
    /// Reading or writing failed in another way.
    Broken,
    /// Not connected: name and port are not on the list.
    Refused,
    /// Not connected: the name has no address.
    Unresolved,
    /// Not connected: no address of the name accepted in time.
    Unreachable,
    /// Not connected: all connections are in use and the queue is full.
    Busy,
    /// Not connected: waited in the queue for [`EgressLimits::queue_wait`](super::EgressLimits::queue_wait).
    QueueTimeout,
    /// Not connected: what came first is no dial frame.
    Malformed,
    /// Not connected: no dial frame came in time.
    Silent,
    /// The listener could not accept; the log line has the reason.
    AcceptFailed,
}

impl Outcome {
    /// Stable snake_case code, as it stands in the log and names the counter.
    pub fn code(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::EnclaveClosed => "enclave_closed",
            Self::PeerClosed => "peer_closed",
            Self::Idle => "idle",
            Self::Broken => "broken",
            Self::Refused => "egress_refused",
            Self::Unresolved => "egress_unresolved",
            Self::Unreachable => "egress_unreachable",
            Self::Busy => "egress_busy",
            Self::QueueTimeout => "egress_queue_timeout",
            Self::Malformed => "egress_malformed",
            Self::Silent => "egress_silent",
            Self::AcceptFailed => "accept_failed",
        }
    }

    /// What the enclave is told when nothing is connected; `None` where it is told nothing.
    pub(super) fn refusal(self) -> Option<(ErrorClass, &'static str)> {
        match self {
            Self::Refused => Some((
                ErrorClass::Refused,
                "the host's egress does not allow this name and port; add it to the egress's list",
            )),
            Self::Unresolved => Some((ErrorClass::Environment, "the host cannot resolve the name; check its DNS")),
            Self::Unreachable => Some((
                ErrorClass::Environment,
                "no address of the name accepts a connection in time; check the host's network",
            )),
            Self::Busy => Some((
                ErrorClass::Environment,
                "the host's egress carries as many connections as it may, and its queue is full; try again",
            )),
            Self::QueueTimeout => Some((
                ErrorClass::Environment,
                "the host's egress had no place for the connection in time; try again, or raise its limits",
            )),
            Self::Malformed => Some((ErrorClass::Usage, "the first frame is no dial frame")),
            _ => None,
        }
    }
}
