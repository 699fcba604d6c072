//! `packproof policy diff`: what changes between two policies, in words, and in which direction.

use std::{collections::BTreeSet, fmt::Debug, path::PathBuf};

use packproof_receipt::policy::{CellKeys, KmsEndpoint, MissingCells, Pack, Pending, Policy, SourceSigner, Target};
use serde_json::json;

use crate::{
    Error,
    output::{Report, printable_line},
};

/// Arguments of `policy diff`.
#[derive(Debug, clap::Args)]
pub(crate) struct DiffArgs {
    /// The policy in force
    old: PathBuf,
    /// The one to come
    new: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Which way a change goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// More can be packed, by more people, for longer.
    Widens,
    /// Less.
    Narrows,
    /// Something else.
    Changes,
}

struct Change {
    effect: Effect,
    at: String,
    text: String,
}

/// Compares two policies.
///
/// # Errors
/// Those of reading a policy.
pub(crate) fn diff(args: &DiffArgs) -> Result<Report, Error> {
    let (old, new) = (super::read(&args.old)?.0, super::read(&args.new)?.0);
    let changes = changes(&old, &new);
    let mark = |effect| match effect {
        Effect::Widens => ("+", "widens"),
        Effect::Narrows => ("-", "narrows"),
        Effect::Changes => ("~", "changes"),
    };
    let lines: Vec<String> = if changes.is_empty() {
        vec!["no difference in meaning; comments and order may differ, and then the measurements do".to_owned()]
    } else {
        let line =
            |change: &Change| format!("{} {}: {}", mark(change.effect).0, change.at, printable_line(&change.text));
        changes.iter().map(line).chain(["(+ widens, - narrows, ~ changes)".to_owned()]).collect()
    };
    let list: Vec<_> = changes
        .iter()
        .map(|change| json!({ "effect": mark(change.effect).1, "at": change.at, "text": change.text }))
        .collect();
    let widens = changes.iter().any(|change| change.effect == Effect::Widens);
    // a key, a name or an endpoint that is another one now may be anybody's: only this member says that it is safe
    let only_narrows = changes.iter().all(|change| change.effect == Effect::Narrows);
    let object = json!({ "changes": list, "widens": widens, "onlyNarrows": only_narrows });
    Ok(Report { text: lines.join("\n"), json: object.as_object().cloned().unwrap_or_default() })
}

/// Changes as they are found.
#[derive(Default)]
struct Changes(Vec<Change>);

impl Changes {
    fn add(&mut self, effect: Effect, at: &str, text: impl Into<String>) {
        self.0.push(Change { effect, at: at.to_owned(), text: text.into() });
    }

    /// A value that is another one now.
    fn value<T: PartialEq + Debug>(&mut self, at: &str, what: &str, old: &T, new: &T) {
        if old != new {
            self.add(Effect::Changes, at, format!("{what} was {old:?}, is {new:?}"));
        }
    }

    /// A number that allows more the larger it is.
    fn bound(&mut self, at: &str, what: &str, old: u64, new: u64) {
        if old != new {
            let effect = if new > old { Effect::Widens } else { Effect::Narrows };
            self.add(effect, at, format!("{what} was {old}, is {new}"));
        }
    }

    /// A list that allows more the longer it is.
    fn list<'a>(
        &mut self,
        at: &str,
        what: &str,
        old: impl IntoIterator<Item = &'a String>,
        new: impl IntoIterator<Item = &'a String>,
    ) {
        let (old, new): (BTreeSet<_>, BTreeSet<_>) = (old.into_iter().collect(), new.into_iter().collect());
        for name in new.difference(&old) {
            self.add(Effect::Widens, at, format!("{what} {name} is added"));
        }
        for name in old.difference(&new) {
            self.add(Effect::Narrows, at, format!("{what} {name} is taken out"));
        }
    }

    /// A switch that allows less when it is on.
    fn restriction(&mut self, at: &str, what: &str, old: bool, new: bool) {
        if old != new {
            let (effect, now) = if new { (Effect::Narrows, "on") } else { (Effect::Widens, "off") };
            self.add(effect, at, format!("{what} is {now}"));
        }
    }
}

fn changes(old: &Policy, new: &Policy) -> Vec<Change> {
    let mut changes = Changes::default();
    let at = "[source]";
    changes.value(at, "repository", &old.source.repository, &new.source.repository);
    changes.value(at, "object_format", &old.source.object_format, &new.source.object_format);
    changes.value(at, "manifest", &old.source.manifest, &new.source.manifest);
    signers(&mut changes, &old.source.signers, &new.source.signers);
    if old.kms != new.kms {
        changes.add(Effect::Changes, "[kms]", format!("{}, is {}", endpoint(&old.kms), endpoint(&new.kms)));
    }
    let size = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
    changes.bound("[limits]", "max_request_bytes", size(old.max_request_bytes), size(new.max_request_bytes));
    if old.record_key_policies != new.record_key_policies {
        let (effect, now) =
            if new.record_key_policies { (Effect::Narrows, "are") } else { (Effect::Widens, "are no longer") };
        changes.add(effect, "record_key_policies", format!("key policies {now} recorded in receipts"));
    }
    for pack in &new.packs {
        match old.pack(&pack.identity, &pack.environment) {
            None => changes.add(Effect::Widens, &place(pack), "can be packed now"),
            Some(before) => self::pack(&mut changes, before, pack),
        }
    }
    for pack in old.packs.iter().filter(|pack| new.pack(&pack.identity, &pack.environment).is_none()) {
        changes.add(Effect::Narrows, &place(pack), "can no longer be packed");
    }
    changes.0
}

fn signers(changes: &mut Changes, old: &[SourceSigner], new: &[SourceSigner]) {
    for signer in new {
        let at = format!("[[source.signer]] {}", signer.name);
        let Some(before) = old.iter().find(|before| before.name == signer.name) else {
            let kind = if signer.cert_authority { "authority" } else { "key" };
            changes.add(Effect::Widens, &at, format!("a new {kind} of {}", signer.principal));
            continue;
        };
        // a comment behind the key is nobody's matter
        let key = |signer: &SourceSigner| signer.ssh.split(' ').take(2).map(str::to_owned).collect::<Vec<_>>();
        if key(before) != key(signer) {
            changes.add(Effect::Changes, &at, "has another key");
        }
        changes.value(&at, "principal", &before.principal, &signer.principal);
        changes.value(&at, "cert_authority", &before.cert_authority, &signer.cert_authority);
        let time = |time: Option<packproof_receipt::time::UnixMillis>| time.map(|time| time.to_rfc3339());
        changes.value(&at, "valid_after", &time(before.valid_after), &time(signer.valid_after));
        changes.value(&at, "valid_before", &time(before.valid_before), &time(signer.valid_before));
    }
    for signer in old.iter().filter(|before| !new.iter().any(|signer| signer.name == before.name)) {
        changes.add(Effect::Narrows, &format!("[[source.signer]] {}", signer.name), "no longer counts");
    }
}

fn pack(changes: &mut Changes, old: &Pack, new: &Pack) {
    let at = &place(new);
    changes.list(at, "namespace", &old.namespaces, &new.namespaces);
    match (&old.cell_keys, &new.cell_keys) {
        (CellKeys::Kms(old), CellKeys::Kms(new)) => {
            let names = |keys: &[packproof_receipt::policy::MasterKey]| -> Vec<String> {
                keys.iter()
                    .map(|key| {
                        if key.context.is_empty() {
                            key.arn.clone()
                        } else {
                            format!("{} with {:?}", key.arn, key.context)
                        }
                    })
                    .collect()
            };
            changes.list(at, "decrypt key", &names(old), &names(new));
        }
        (old, new) => changes.value(at, "what opens the cells", old, new),
    }
    let target = |target: &Target| match target {
        Target::Kms(arn) => format!("the KMS key {arn}"),
        Target::Age(recipient) => format!("the age recipient {recipient}"),
    };
    if old.target != new.target {
        changes.add(
            Effect::Changes,
            at,
            format!("artifacts were encrypted to {}, are to {}", target(&old.target), target(&new.target)),
        );
    }
    changes.value(at, "signer.kms", &old.signer.kms, &new.signer.kms);
    match (&old.signer.public_key, &new.signer.public_key) {
        (None, Some(key)) => changes.add(
            Effect::Widens,
            at,
            format!("signer.public_key {key} is pinned: it can be packed now, and no signer sealed"),
        ),
        (Some(_), None) => changes.add(Effect::Narrows, at, "no signer is pinned: only sealing is allowed"),
        (old, new) => changes.value(at, "signer.public_key", old, new),
    }
    changes.list(at, "commit signer", &old.signers, &new.signers);
    match (&old.approvals, &new.approvals) {
        (None, None) => {}
        (None, Some(rule)) => changes.add(
            Effect::Narrows,
            at,
            format!("{} approvals of {} are asked for", rule.threshold, rule.from.join(", ")),
        ),
        (Some(_), None) => changes.add(Effect::Widens, at, "approvals are no longer asked for"),
        (Some(old), Some(new)) => {
            if old.threshold != new.threshold {
                let effect = if new.threshold < old.threshold { Effect::Widens } else { Effect::Narrows };
                changes.add(effect, at, format!("{} approvals were asked for, now {}", old.threshold, new.threshold));
            }
            changes.list(at, "approver", &old.from, &new.from);
        }
    }
    changes.bound(at, "max_ttl_seconds", old.max_ttl_seconds, new.max_ttl_seconds);
    changes.bound(at, "max_commit_age_seconds", old.max_commit_age_seconds, new.max_commit_age_seconds);
    let refuses = |pack: &Pack| pack.missing_cells == MissingCells::Refuse;
    changes.restriction(at, "refusing missing cells", refuses(old), refuses(new));
    changes.restriction(at, "only_recipients", old.only_recipients, new.only_recipients);
    let strictness = |pack: &Pack| match pack.pending {
        None => 0,
        Some(Pending::Name) => 1,
        Some(Pending::Refuse) => 2,
    };
    if strictness(old) != strictness(new) {
        let effect = if strictness(new) < strictness(old) { Effect::Widens } else { Effect::Narrows };
        changes.add(effect, at, format!("pending was {:?}, is {:?}", old.pending, new.pending));
    }
    for (path, digest) in &old.schemas {
        match new.schemas.get(path) {
            None => changes.add(Effect::Widens, at, format!("schema {path} is no longer pinned")),
            Some(other) if other != digest => changes.add(Effect::Changes, at, format!("schema {path} is another one")),
            Some(_) => {}
        }
    }
    for path in new.schemas.keys().filter(|path| !old.schemas.contains_key(*path)) {
        changes.add(Effect::Narrows, at, format!("schema {path} is pinned"));
    }
}

fn endpoint(kms: &KmsEndpoint) -> String {
    match kms {
        KmsEndpoint::Aws => "AWS".to_owned(),
        KmsEndpoint::AwsFips => "AWS, FIPS endpoints".to_owned(),
        KmsEndpoint::Simulated { host, port, .. } => format!("SIMULATED at {host}:{port}"),
    }
}

fn place(pack: &Pack) -> String {
    format!("[[pack]] {}/{}", pack.identity, pack.environment)
}
