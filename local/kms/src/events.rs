//! The event log: one JSON line a call, shaped like CloudTrail's KMS events.
//!
//! As in CloudTrail, `additionalEventData.recipient` is there for attested calls that succeeded and for no others, PCRs are
//! lower-case hex, and neither plaintext nor ciphertext is ever written. `additionalEventData.keyPolicyStatement`, the
//! statement that decided, is the one member that CloudTrail does not have. Requests whose signature is wrong have no
//! identity and are not logged.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use packproof_receipt::time::UnixMillis;
use serde_json::{Map, Value, json};

use crate::arn::KeyArn;
use crate::error::{Error, ServiceError};
use crate::policy::IamArn;
use crate::recipient::Recipient;
use crate::state::Principal;
use crate::{files, random};

/// The file in the state directory.
pub const EVENTS_FILE: &str = "events.jsonl";

/// PCRs that CloudTrail names besides PCR0, which it calls the image digest.
const LOGGED_PCRS: [u8; 5] = [1, 2, 3, 4, 8];

/// What a call leaves behind for the log while it is worked on.
#[derive(Default)]
pub(crate) struct Trail {
    /// `requestParameters`, without secrets.
    pub(crate) parameters: Map<String, Value>,
    /// The keys the call is about, once found.
    pub(crate) keys: Vec<KeyArn>,
    /// The policy statement that decided.
    pub(crate) statement: Option<String>,
    /// `additionalEventData.recipient`, written on success only.
    pub(crate) recipient: Option<Value>,
}

/// Who called, when, and what.
pub(crate) struct Call<'a> {
    pub(crate) operation: &'a str,
    pub(crate) principal: &'a Principal,
    pub(crate) region: &'a str,
    pub(crate) user_agent: &'a str,
    pub(crate) request_id: &'a str,
    pub(crate) time: UnixMillis,
}

pub(crate) struct EventLog(Mutex<File>);

impl EventLog {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        files::append(path).map(|file| Self(Mutex::new(file)))
    }

    /// Writes one line. It is written before the answer leaves, so that no answer goes unlogged.
    pub(crate) fn write(&self, call: &Call<'_>, trail: &Trail, error: Option<&ServiceError>) -> Result<(), Error> {
        let mut line = event(call, trail, error, &random::uuid()?).to_string();
        line.push('\n');
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.as_bytes()).map_err(Error::io("write", Path::new(EVENTS_FILE)))
    }
}

/// The enclave as CloudTrail shows it.
pub(crate) fn recipient(recipient: &Recipient) -> Value {
    let mut members = Map::new();
    members.insert("attestationDocumentModuleId".into(), recipient.module_id.clone().into());
    let mut pcr = |name: String, index: u8| {
        if let Some(value) = recipient.pcrs.get(&index) {
            members.insert(name, hex::encode(value).into());
        }
    };
    pcr("attestationDocumentEnclaveImageDigest".into(), 0);
    for index in LOGGED_PCRS {
        pcr(format!("attestationDocumentEnclavePCR{index}"), index);
    }
    Value::Object(members)
}

fn event(call: &Call<'_>, trail: &Trail, error: Option<&ServiceError>, event_id: &str) -> Value {
    let arn = &call.principal.arn;
    let account = IamArn::parse(arn).map(|arn| arn.account().to_owned()).unwrap_or_default();
    let kind = match arn.rsplit_once(':').map(|(_, name)| name) {
        Some("root") => "Root",
        Some(name) if name.starts_with("user/") => "IAMUser",
        _ => "AssumedRole",
    };
    let time = call.time.to_civil();
    let event_time = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        time.year, time.month, time.day, time.hour, time.minute, time.second
    );
    let mut event = json!({
        "eventVersion": "1.11",
        "userIdentity": {
            "type": kind, "arn": arn, "accountId": account, "accessKeyId": call.principal.access_key_id,
        },
        "eventTime": event_time,
        "eventSource": "kms.amazonaws.com",
        "eventName": call.operation,
        "awsRegion": call.region,
        "sourceIPAddress": "127.0.0.1",
        "userAgent": call.user_agent,
        "requestParameters": trail.parameters,
        "responseElements": null,
        "requestID": call.request_id,
        "eventID": event_id,
        "readOnly": !matches!(call.operation, "CreateAlias" | "CreateKey" | "PutKeyPolicy"),
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "eventCategory": "Management",
        "recipientAccountId": account,
    });
    let Some(members) = event.as_object_mut() else { return event };
    if let Some(error) = error {
        // CloudTrail shortens this one name.
        let code = if error.code == "AccessDeniedException" { "AccessDenied" } else { error.code };
        members.insert("errorCode".into(), code.into());
        members.insert("errorMessage".into(), error.message.clone().into());
    }
    let mut additional = Map::new();
    if let (None, Some(recipient)) = (error, &trail.recipient) {
        additional.insert("recipient".into(), recipient.clone());
    }
    if let Some(statement) = &trail.statement {
        additional.insert("keyPolicyStatement".into(), statement.clone().into());
    }
    if !additional.is_empty() {
        members.insert("additionalEventData".into(), additional.into());
    }
    // GenerateRandom has an empty list in CloudTrail too.
    let resources: Vec<Value> = trail
        .keys
        .iter()
        .map(|key| json!({ "accountId": key.account(), "type": "AWS::KMS::Key", "ARN": key.as_str() }))
        .collect();
    members.insert("resources".into(), resources.into());
    event
}
