//! What PID 1 tells the health process: one fixed-size message per change of state, over a
//! `SOCK_SEQPACKET` socket. A frame replaces all earlier ones, so that losing one loses nothing.

/// Where the run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Directories are being made; nothing is known yet.
    Starting = 0,
    /// The checks run.
    Verifying = 1,
    /// The workload runs.
    Running = 2,
    /// A stop was asked for, or the workload has ended and the rest is being drained.
    Stopping = 3,
    /// The workload did not start: verification failed, or it could not be executed.
    Failed = 4,
}

/// What verification came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// Nothing asked for verification.
    NotAsked = 0,
    /// It has not ended yet.
    Pending = 1,
    /// Every check passed or was skipped.
    Pass = 2,
    /// Something optional failed, or something required under the policy `warn`.
    Warn = 3,
    /// Something required failed.
    Fail = 4,
}

/// How many checks ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Passed.
    pub pass: u16,
    /// Failed where that is tolerated.
    pub warn: u16,
    /// Failed.
    pub fail: u16,
    /// Could not be made.
    pub skip: u16,
}

impl Tally {
    /// The size of encoded counts, in bytes.
    pub const SIZE: usize = 8;

    /// The bytes in a message; both ends are the same program on the same machine.
    pub fn encode(&self) -> [u8; Tally::SIZE] {
        let mut bytes = [0; Tally::SIZE];
        let counts = [self.pass, self.warn, self.fail, self.skip];
        for (slot, count) in bytes.chunks_exact_mut(2).zip(counts) {
            slot.copy_from_slice(&count.to_ne_bytes());
        }
        bytes
    }

    /// The counts in `bytes`.
    pub fn decode(bytes: [u8; Tally::SIZE]) -> Tally {
        let count = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        Tally { pass: count(0), warn: count(2), fail: count(4), skip: count(6) }
    }
}

/// Why the workload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cause {
    /// By itself, with its code.
    Code = 1,
    /// By a signal.
    Signal = 2,
    /// As it was asked to.
    Asked = 3,
    /// It never started: execve was refused.
    NotStarted = 4,
    /// The kernel's out-of-memory killer.
    OutOfMemory = 5,
    /// An instruction that this processor does not have.
    IllegalInstruction = 6,
    /// Memory that is mapped and cannot be had.
    BusError = 7,
    /// A system call that a seccomp filter forbids.
    Seccomp = 8,
}

/// One message: the whole state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where the run is.
    pub phase: Phase,
    /// What verification came to.
    pub outcome: Outcome,
    /// The checks behind it.
    pub tally: Tally,
    /// Why the workload ended last and with which exit code; `None` where none has.
    pub death: Option<(Cause, u8)>,
    /// The workload's process, 0 where there is none.
    pub workload: u32,
    /// How often the health process was started again.
    pub health_restarts: u32,
    /// When mak-init started: milliseconds of `CLOCK_BOOTTIME`.
    pub started: u64,
    /// What PID 1 has done so far.
    pub counts: Counts,
}

/// What PID 1 has counted. A frame is sent at a change of state, not at every count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How often the workload was started again.
    pub restarts: u32,
    /// Signals sent on to the workload.
    pub forwarded: u32,
    /// Of these, the ones whose value was lost because the workload's queue was full.
    pub without_value: u32,
    /// Processes reaped, the workload among them.
    pub reaped: u32,
}

impl Frame {
    /// The size of an encoded frame, in bytes.
    pub const SIZE: usize = 44;

    /// The state at the very start.
    pub const fn starting(started: u64) -> Frame {
        Frame {
            phase: Phase::Starting,
            outcome: Outcome::NotAsked,
            tally: Tally { pass: 0, warn: 0, fail: 0, skip: 0 },
            death: None,
            workload: 0,
            health_restarts: 0,
            started,
            counts: Counts { restarts: 0, forwarded: 0, without_value: 0, reaped: 0 },
        }
    }

    /// The bytes on the socket; both ends are the same program on the same machine.
    pub fn encode(&self) -> [u8; Frame::SIZE] {
        let mut bytes = [0; Frame::SIZE];
        bytes[0] = self.phase as u8;
        bytes[1] = self.outcome as u8;
        bytes[2..10].copy_from_slice(&self.tally.encode());
        if let Some((cause, code)) = self.death {
            bytes[10..12].copy_from_slice(&[cause as u8, code]);
        }
        bytes[12..16].copy_from_slice(&self.workload.to_ne_bytes());
        bytes[16..20].copy_from_slice(&self.health_restarts.to_ne_bytes());
        bytes[20..28].copy_from_slice(&self.started.to_ne_bytes());
        let counts = self.counts;
        let counts = [counts.restarts, counts.forwarded, counts.without_value, counts.reaped];
        for (slot, count) in bytes[28..44].chunks_exact_mut(4).zip(counts) {
            slot.copy_from_slice(&count.to_ne_bytes());
        }
        bytes
    }

    /// The frame in `bytes`; `None` where these are not one.
    pub fn decode(bytes: &[u8]) -> Option<Frame> {
        let bytes: &[u8; Frame::SIZE] = bytes.try_into().ok()?;
        let mut counts = [0; Tally::SIZE];
        counts.copy_from_slice(&bytes[2..10]);
        let word = |at: usize| {
            u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let mut started = [0; 8];
        started.copy_from_slice(&bytes[20..28]);
        Some(Frame {
            phase: Phase::from_byte(bytes[0])?,
            outcome: Outcome::from_byte(bytes[1])?,
            tally: Tally::decode(counts),
            death: match bytes[10] {
                0 => None,
                cause => Some((Cause::from_byte(cause)?, bytes[11])),
            },
            workload: word(12),
            health_restarts: word(16),
            started: u64::from_ne_bytes(started),
            counts: Counts {
                restarts: word(28),
                forwarded: word(32),
                without_value: word(36),
                reaped: word(40),
            },
        })
    }
}

impl Phase {
    fn from_byte(byte: u8) -> Option<Phase> {
        [Phase::Starting, Phase::Verifying, Phase::Running, Phase::Stopping, Phase::Failed]
            .into_iter()
            .find(|phase| *phase as u8 == byte)
    }
}

impl Cause {
    /// The cause that this byte of a message, or exit code of an explanation, stands for.
    pub fn from_byte(byte: u8) -> Option<Cause> {
        [
            Cause::Code,
            Cause::Signal,
            Cause::Asked,
            Cause::NotStarted,
            Cause::OutOfMemory,
            Cause::IllegalInstruction,
            Cause::BusError,
            Cause::Seccomp,
        ]
        .into_iter()
        .find(|cause| *cause as u8 == byte)
    }
}

impl Outcome {
    /// The outcome that this byte of a message stands for.
    pub fn from_byte(byte: u8) -> Option<Outcome> {
        [Outcome::NotAsked, Outcome::Pending, Outcome::Pass, Outcome::Warn, Outcome::Fail]
            .into_iter()
            .find(|outcome| *outcome as u8 == byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_survives_the_socket_and_anything_else_is_refused() {
        let frame = Frame {
            phase: Phase::Stopping,
            outcome: Outcome::Warn,
            tally: Tally { pass: 22, warn: 2, fail: 0, skip: 1 },
            death: None,
            workload: 7,
            health_restarts: 3,
            started: u64::MAX - 5,
            counts: Counts { restarts: 1, forwarded: 2, without_value: 3, reaped: u32::MAX },
        };
        for cause in (1..=8).map(Cause::from_byte) {
            let frame = Frame { death: cause.map(|cause| (cause, 137)), ..frame };
            assert!(frame.death.is_some());
            assert_eq!(Frame::decode(&frame.encode()), Some(frame));
        }
        let mut bytes = frame.encode();
        assert_eq!(Frame::decode(&bytes), Some(frame));
        assert_eq!(Frame::decode(&bytes[1..]), None);
        bytes[0] = 9;
        assert_eq!(Frame::decode(&bytes), None);
    }
}
