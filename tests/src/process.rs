//! A command that has ended.

use std::process::{Command, Stdio};

use serde_json::Value;

/// What a command left.
#[derive(Debug)]
pub struct Outcome {
    /// The command line.
    pub command: String,
    /// Exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    /// Runs a command to its end, with nothing to read.
    pub fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output();
        let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self {
            command: format!("{command:?}"),
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Expects this exit code.
    #[must_use]
    #[track_caller]
    pub fn exit(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}{}", self.command, self.stdout, self.stderr);
        self
    }

    /// Expects success.
    #[must_use]
    #[track_caller]
    pub fn ok(self) -> Self {
        self.exit(0)
    }

    /// Standard output as one JSON value.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{}: no JSON ({error}):\n{}{}", self.command, self.stdout, self.stderr))
    }
}
