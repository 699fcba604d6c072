//! `packproof policy explain`: what a policy allows of one commit, before an image is built for it.
//!
//! The enclave decides; this says beforehand what it will see. Each entry is judged to the end, so that everything that
//! would be refused is named at once.

use std::path::PathBuf;

use packproof_artifact::{
    manifest::{KmsProvider, Manifest, Target as ManifestTarget},
    matrix::{self, CellFormat, CellPath},
    schema::Schema,
    seal::check_recipient,
    sidecar::{pending_keys, sidecar_path},
};
use packproof_gitobj::{
    Commit, Kind, Limits, Lookup, Mode, ObjectBag, ObjectFormat, ObjectId, Tag, Trees,
    sshsig::{AllowedSigner, PublicKey, SshSigError, Verified},
};
use packproof_receipt::{
    policy::{CellKeys, MissingCells, Pack, Pending, Policy, SourceSigner, Target},
    time::UnixMillis,
};
use packproof_sops::{Cell, Format, KeyEntry};
use packproof_wire::Object;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::unborn;
use crate::{
    Error,
    clock::now,
    collect::{MARKER_PATH, Wanted, collect},
    git::Repository,
    output::{Report, printable_line},
};

/// Arguments of `policy explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// Only this service identity
    identity: Option<String>,
    /// Only this environment
    environment: Option<String>,
    /// The policy
    #[arg(long, value_name = "FILE", default_value = "packproof.toml")]
    policy: PathBuf,
    /// The repository: a folder in its work tree, or bare
    #[arg(long, value_name = "REPO", default_value = ".")]
    dir: PathBuf,
    /// The commit: a branch, tag or id. A signed annotated tag counts by its own signature
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    commit: String,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What one entry of the policy makes of the commit.
#[derive(Default)]
struct Judgement {
    name: String,
    /// What and whose, as label and text.
    facts: Vec<(&'static str, String)>,
    /// Why not, as code and text.
    refusals: Vec<(String, String)>,
}

impl Judgement {
    fn fact(&mut self, label: &'static str, text: impl Into<String>) {
        self.facts.push((label, text.into()));
    }

    fn refuse(&mut self, code: &str, text: impl Into<String>) {
        self.refusals.push((code.to_owned(), text.into()));
    }
}

/// Judges every entry asked about; the exit code is 1 when one of them would be refused.
///
/// # Errors
/// Those of reading policy and repository.
pub(crate) fn explain(args: &ExplainArgs) -> Result<(Report, u8), Error> {
    let (policy, _) = super::read(&args.policy)?;
    let repository = Repository::new(&args.dir);
    let commit = repository.commit_id(&args.commit)?;
    let tag = repository.signed_tag_id(&args.commit)?;
    let asked = |pack: &&Pack| {
        args.identity.as_ref().is_none_or(|name| *name == pack.identity)
            && args.environment.as_ref().is_none_or(|name| *name == pack.environment)
    };
    let mut judgements = Vec::new();
    for pack in policy.packs.iter().filter(asked) {
        judgements.push(judge(&policy, pack, &repository, &commit, tag.as_deref())?);
    }
    if judgements.is_empty() {
        let name =
            format!("{}/{}", args.identity.as_deref().unwrap_or("*"), args.environment.as_deref().unwrap_or("*"));
        let mut judgement = Judgement { name, ..Judgement::default() };
        judgement.refuse("not_in_policy", "the policy has no such [[pack]]; anything not listed is refused");
        judgements.push(judgement);
    }
    let subject = printable_line(&repository.subject(&commit)?);
    let is_refused = judgements.iter().any(|judgement| !judgement.refusals.is_empty());
    Ok((report(&commit, tag.as_deref(), &subject, &judgements), u8::from(is_refused)))
}

fn report(commit: &str, tag: Option<&str>, subject: &str, judgements: &[Judgement]) -> Report {
    let mut lines = vec![format!("commit {commit}"), format!("  {subject}")];
    for judgement in judgements {
        let verdict = if judgement.refusals.is_empty() { "could be packed" } else { "REFUSED" };
        lines.push(format!("\n{}: {verdict}", judgement.name));
        for (code, text) in &judgement.refusals {
            lines.push(format!("  refused        {} [{code}]", printable_line(text)));
        }
        for (label, text) in &judgement.facts {
            lines.push(format!("  {label:<14} {}", printable_line(text)));
        }
    }
    let list = |pairs: &[(&'static str, String)]| -> Vec<_> {
        pairs.iter().map(|(label, text)| json!({ "what": label, "text": text })).collect()
    };
    let entries: Vec<_> = judgements
        .iter()
        .map(|judgement| {
            let refusals: Vec<_> =
                judgement.refusals.iter().map(|(code, text)| json!({ "code": code, "text": text })).collect();
            let packable = judgement.refusals.is_empty();
            json!({ "name": judgement.name, "packable": packable, "refusals": refusals, "facts": list(&judgement.facts) })
        })
        .collect();
    let object = json!({ "commit": commit, "tag": tag, "packs": entries });
    Report { text: lines.join("\n"), json: object.as_object().cloned().unwrap_or_default() }
}

fn judge(
    policy: &Policy,
    pack: &Pack,
    repository: &Repository,
    commit: &str,
    tag: Option<&str>,
) -> Result<Judgement, Error> {
    let mut judgement = Judgement { name: format!("{}/{}", pack.identity, pack.environment), ..Judgement::default() };
    for purpose in unborn(pack) {
        judgement.refuse("only_seal", format!("no {purpose} is pinned yet: packproof seal {purpose}, then pin it"));
    }
    if let Some(rule) = &pack.approvals {
        judgement.fact("approvals", format!("{} of {}, the signer not counted", rule.threshold, rule.from.join(", ")));
    }
    let wanted = Wanted::of(policy, &pack.identity, &pack.environment, commit, tag);
    let objects = match collect(repository, &wanted) {
        Ok(objects) => objects,
        // what concerns this entry alone is its refusal; a repository that cannot be read is everybody's
        Err(error) if error.exit_code() == 1 => {
            judgement.refuse(error.code(), error.to_string());
            return Ok(judgement);
        }
        Err(error) => return Err(error),
    };
    if let Err(error) = judge_objects(policy, pack, commit, tag, objects, &mut judgement) {
        judgement.refuse(error.code(), error.to_string());
    }
    let lifetime = format!("at most {} s; commits at most {} s old", pack.max_ttl_seconds, pack.max_commit_age_seconds);
    judgement.fact("lives", lifetime);
    Ok(judgement)
}

/// The collected objects, read as the enclave reads them.
fn judge_objects(
    policy: &Policy,
    pack: &Pack,
    commit: &str,
    tag: Option<&str>,
    objects: Vec<Object>,
    judgement: &mut Judgement,
) -> Result<(), Error> {
    let format: ObjectFormat = policy.source.object_format.parse().map_err(Error::Object)?;
    let limits = Limits {
        max_object_bytes: policy.max_request_bytes,
        max_total_bytes: policy.max_request_bytes,
        ..Limits::default()
    };
    let kinds = [Kind::Commit, Kind::Tag, Kind::Tree, Kind::Blob];
    let kind_of = |name: &str| kinds.into_iter().find(|kind| kind.name() == name).unwrap_or(Kind::Blob);
    let objects = objects.into_iter().map(|object| (kind_of(&object.kind), object.body)).collect();
    let bag = ObjectBag::new(format, objects, &limits).map_err(Error::Object)?;
    let id = ObjectId::parse(format, commit).map_err(Error::Object)?;
    let parsed = Commit::parse(format, bag.get(Kind::Commit, &id).map_err(Error::Object)?).map_err(Error::Object)?;
    judge_signature(policy, pack, &bag, (&id, &parsed), tag, judgement)?;
    judge_age(pack, parsed.committer.unix_seconds(), judgement);

    let mut files = Files { bag: &bag, tree: parsed.tree, trees: Trees::new(&bag, &limits) };
    match files.read(MARKER_PATH)? {
        Some(marker) if marker.strip_suffix(b"\n").unwrap_or(marker) == policy.source.repository.as_bytes() => {}
        Some(_) => {
            judgement.refuse("wrong_repository", format!("{MARKER_PATH} names another repository than the policy"))
        }
        None => judgement.refuse("repository_marker_missing", format!("the commit holds no file {MARKER_PATH}")),
    }
    let Some(manifest) = files.read(&policy.source.manifest)? else { return Ok(()) };
    let manifest = Manifest::parse(manifest).map_err(Error::Manifest)?;
    judge_manifest(pack, &manifest, judgement);
    for cell in matrix::cells(&manifest, &pack.identity, &pack.environment).map_err(Error::Matrix)? {
        let content = match files.at(&cell.path)? {
            At::File(content) => Some(content),
            At::NotRegular => {
                judgement.refuse("cell_not_regular", format!("{} is not a regular file", cell.path));
                continue;
            }
            At::Absent => None,
        };
        judge_cell(pack, &cell, content, judgement);
        if content.is_some() {
            judge_schema(pack, &manifest, &cell, &mut files, judgement)?;
            judge_sidecar(pack, &cell, &mut files, judgement)?;
        }
    }
    Ok(())
}

/// The files of the commit; each tree is parsed once.
struct Files<'a> {
    bag: &'a ObjectBag,
    tree: ObjectId,
    trees: Trees<'a>,
}

/// What stands at a path.
enum At<'a> {
    File(&'a [u8]),
    NotRegular,
    Absent,
}

impl<'a> Files<'a> {
    fn at(&mut self, path: &str) -> Result<At<'a>, Error> {
        match self.trees.lookup(&self.tree, path).map_err(Error::Object)? {
            Lookup::Found { mode: Mode::File | Mode::Executable, id } => {
                self.bag.get(Kind::Blob, &id).map(At::File).map_err(Error::Object)
            }
            Lookup::Found { .. } => Ok(At::NotRegular),
            Lookup::Absent => Ok(At::Absent),
        }
    }

    /// The content of a regular file; `None` when something else or nothing is there.
    fn read(&mut self, path: &str) -> Result<Option<&'a [u8]>, Error> {
        match self.at(path)? {
            At::File(content) => Ok(Some(content)),
            At::NotRegular | At::Absent => Ok(None),
        }
    }
}

/// That a schema is the pinned one; whether the values satisfy it, only the enclave sees.
fn judge_schema(
    pack: &Pack,
    manifest: &Manifest,
    cell: &CellPath,
    files: &mut Files<'_>,
    judgement: &mut Judgement,
) -> Result<(), Error> {
    if pack.schemas.is_empty() {
        return Ok(());
    }
    let declared = manifest.namespaces.iter().find(|declared| declared.name == cell.namespace);
    let Some(path) = declared.and_then(|declared| declared.schema.as_deref()) else {
        judgement.refuse("schema_not_given", format!("the manifest gives namespace {} no schema", cell.namespace));
        return Ok(());
    };
    let Some(pinned) = pack.schemas.get(path) else {
        judgement.refuse("schema_not_pinned", format!("schema {path} is not pinned by the policy"));
        return Ok(());
    };
    match files.read(path)? {
        None => judgement.refuse("schema_missing", format!("the commit holds no file {path}")),
        Some(bytes) if hex::encode(Sha256::digest(bytes)) != *pinned => {
            judgement.refuse("schema_changed", format!("schema {path} is not the one that the policy pins"));
        }
        Some(bytes) => match Schema::parse(bytes) {
            Ok(_) => judgement.fact("", format!("must satisfy {path}")),
            Err(error) => judgement.refuse(error.code(), format!("{path}: {error}")),
        },
    }
    Ok(())
}

fn judge_sidecar(pack: &Pack, cell: &CellPath, files: &mut Files<'_>, judgement: &mut Judgement) -> Result<(), Error> {
    let Some(rule) = pack.pending else { return Ok(()) };
    let path = sidecar_path(&cell.path);
    let Some(bytes) = files.read(&path)? else { return Ok(()) };
    match pending_keys(bytes) {
        Err(error) => judgement.refuse(error.code(), format!("{path}: {error}")),
        Ok(keys) if keys.is_empty() => {}
        Ok(keys) if rule == Pending::Refuse => {
            judgement.refuse("pending_values", format!("{path} calls {} pending", keys.join(", ")));
        }
        Ok(keys) => judgement.fact("", format!("pending: {}", keys.join(", "))),
    }
    Ok(())
}

fn judge_signature(
    policy: &Policy,
    pack: &Pack,
    bag: &ObjectBag,
    (id, commit): (&ObjectId, &Commit),
    tag: Option<&str>,
    judgement: &mut Judgement,
) -> Result<(), Error> {
    let signers: Vec<_> = policy.signers_of(pack).collect();
    let names: Vec<_> = signers.iter().map(|signer| format!("{} ({})", signer.name, signer.principal)).collect();
    judgement.fact("may sign", names.join(", "));
    let allowed = allowed_signers(&signers)?;
    let now = now().as_secs();
    let verified = match tag {
        None => commit.verify_signature(&allowed, &[now]),
        Some(tag) => {
            let tag_id = ObjectId::parse(id.format(), tag).map_err(Error::Object)?;
            let tag =
                bag.get(Kind::Tag, &tag_id).and_then(|body| Tag::parse(id.format(), body)).map_err(Error::Object)?;
            tag.check_target(id).map_err(Error::Object)?;
            judgement.fact("by tag", tag.name.clone());
            if tag.tagger.unix_seconds() > now.saturating_add(300) {
                judgement.refuse("tag_in_future", "the tag's signed date is in the future");
            }
            tag.verify_signature(&allowed, &[now])
        }
    };
    match verified {
        Ok(Verified { index, scheme, fingerprint, certificate }) => {
            let signer = signers.get(index).map(|signer| signer.name.as_str()).unwrap_or_default();
            let by =
                certificate.map(|certified| format!(" for {}", certified.principals.join(", "))).unwrap_or_default();
            judgement.fact("signed by", format!("{signer}{by}, {scheme} {fingerprint}"));
        }
        Err(error) => judgement.refuse(error.code(), error.to_string()),
    }
    Ok(())
}

fn allowed_signers(signers: &[&SourceSigner]) -> Result<Vec<AllowedSigner>, Error> {
    let allowed = |signer: &&SourceSigner| -> Result<_, Error> {
        let unusable = |error: SshSigError| Error::PolicyKey { signer: signer.name.clone(), error };
        Ok(AllowedSigner {
            key: PublicKey::parse(&signer.ssh).map_err(unusable)?,
            cert_authority: signer.cert_authority,
            principals: signer.patterns(),
            valid_after: signer.valid_after.map(UnixMillis::as_secs),
            valid_before: signer.valid_before.map(UnixMillis::as_secs),
        })
    };
    signers.iter().map(allowed).collect()
}

/// By this computer's clock; the enclave takes the NSM's.
fn judge_age(pack: &Pack, committed: u64, judgement: &mut Judgement) {
    let now = now().as_secs();
    let age = now.saturating_sub(committed);
    if committed > now.saturating_add(300) {
        judgement.refuse("commit_in_future", "the commit's signed date is in the future");
    } else if age > pack.max_commit_age_seconds {
        judgement.refuse(
            "commit_too_old",
            format!("the commit is {age} s old, the policy allows {}", pack.max_commit_age_seconds),
        );
    }
}

fn judge_manifest(pack: &Pack, manifest: &Manifest, judgement: &mut Judgement) {
    let Some(identity) = manifest.identity(&pack.identity) else { return };
    let (found, agrees) = match (identity.target(&pack.environment), &pack.target) {
        (Some(ManifestTarget::Age { recipient }), Target::Age(pinned)) => (recipient.clone(), recipient == pinned),
        (Some(ManifestTarget::Kms { provider: KmsProvider::Aws, key_id }), Target::Kms(pinned)) => {
            (key_id.clone(), key_id == pinned)
        }
        (Some(ManifestTarget::Age { recipient: other } | ManifestTarget::Kms { key_id: other, .. }), _) => {
            (other.clone(), false)
        }
        (None, _) => return,
    };
    let pinned = match &pack.target {
        Target::Age(recipient) => recipient,
        Target::Kms(arn) => arn,
    };
    judgement.fact("encrypted to", pinned.clone());
    if let Target::Age(recipient) = &pack.target
        && let Err(error) = check_recipient(recipient)
    {
        judgement.refuse(error.code(), error.to_string());
    }
    if !agrees {
        judgement
            .refuse("recipient_not_in_policy", format!("the manifest encrypts to {found}, the policy to {pinned}"));
    }
    for name in identity.namespaces.iter().filter(|name| !pack.namespaces.contains(name)) {
        judgement.refuse(
            "namespace_not_in_policy",
            format!("the manifest asks for namespace {name}, which the policy does not give"),
        );
    }
    let unused: Vec<_> = pack.namespaces.iter().filter(|name| !identity.namespaces.contains(name)).cloned().collect();
    if !unused.is_empty() {
        judgement
            .fact("not asked for", format!("{}: the policy allows more than the manifest takes", unused.join(", ")));
    }
}

fn judge_cell(pack: &Pack, cell: &CellPath, content: Option<&[u8]>, judgement: &mut Judgement) {
    let path = &cell.path;
    let Some(content) = content else {
        match pack.missing_cells {
            MissingCells::Skip => judgement.fact("left out", format!("{path}: not in the commit")),
            MissingCells::Refuse => judgement.refuse("cell_missing", format!("{path} is not in the commit")),
        }
        return;
    };
    let format = match cell.format {
        CellFormat::Yaml => Format::Yaml,
        CellFormat::Json => Format::Json,
    };
    let parsed = match Cell::parse(content, format, &packproof_sops::Limits::default()) {
        Ok(parsed) => parsed,
        Err(error) => return judgement.refuse(error.code(), format!("{path}: {error}")),
    };
    let opener = parsed.entries().iter().position(|entry| opens(pack, entry).is_some());
    match opener.and_then(|index| Some((index, opens(pack, parsed.entries().get(index)?)?))) {
        None => {
            let kinds = parsed.key_kinds().into_iter().map(|(kind, count)| format!("{count} {kind}"));
            let kinds = kinds.collect::<Vec<_>>().join(", ");
            judgement.refuse(
                "no_allowed_key",
                format!("{path} has no entry for a key that the policy names here; it has {kinds}"),
            );
        }
        Some((_, (id, false))) => {
            judgement.refuse(
                "wrong_encryption_context",
                format!("{path}: the entry of {id} has another context than the policy states"),
            );
        }
        Some((_, (id, true))) => judgement.fact("cell", format!("{path}, opened with {id}")),
    }
    let wants = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    if let Some(KeyEntry::Kms { role, aws_profile, .. }) = opener.and_then(|index| parsed.entries().get(index))
        && (wants(role) || wants(aws_profile))
    {
        judgement.refuse("key_entry_wants_role", format!("{path}: the key entry names an AWS role or profile"));
    }
    let others =
        parsed.entries().iter().enumerate().filter(|(index, _)| Some(*index) != opener).map(|(_, entry)| name(entry));
    for other in others {
        judgement.fact("", format!("can also be opened with {other}"));
    }
    let foreign = parsed.entries().iter().find(|entry| opens(pack, entry).is_none());
    if let (true, Some(entry)) = (pack.only_recipients, foreign) {
        judgement.refuse(
            "foreign_recipient",
            format!("{path} can be opened by {}, and the policy says only_recipients", name(entry)),
        );
    }
}

/// The key of an entry that the policy names, and whether its context is the one stated.
fn opens<'a>(pack: &Pack, entry: &'a KeyEntry) -> Option<(&'a str, bool)> {
    match (entry, &pack.cell_keys) {
        (KeyEntry::Kms { arn, context, .. }, CellKeys::Kms(keys)) => {
            keys.iter().find(|key| key.arn == *arn).map(|key| (arn.as_str(), key.context == *context))
        }
        (KeyEntry::Age { recipient, .. }, CellKeys::Sealed { recipient: Some(pinned), .. }) if recipient == pinned => {
            Some((recipient, true))
        }
        _ => None,
    }
}

fn name(entry: &KeyEntry) -> String {
    match entry {
        KeyEntry::Kms { arn, .. } => arn.clone(),
        KeyEntry::Age { recipient, .. } => recipient.clone(),
        KeyEntry::Other { kind, id } => format!("{kind} {id}"),
        _ => "a key of another kind".to_owned(),
    }
}
