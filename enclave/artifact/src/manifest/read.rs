//! From a typed document to a [`Manifest`], in Clef's order of checks.

use std::collections::BTreeSet;

use super::check::{age_key, is_dns_label, is_name, is_pkcs11_uri, kms_arn};
use super::{
    Backend, Environment, Identity, KmsProvider, Manifest, ManifestError, Namespace, Problem, Recipient, SopsConfig,
    Target,
};
use crate::core_schema::Yaml;

type Result<T> = std::result::Result<T, ManifestError>;

const TOP_LEVEL: [&str; 6] = ["version", "environments", "namespaces", "sops", "file_pattern", "service_identities"];

pub(super) fn manifest(root: &Yaml) -> Result<Manifest> {
    let root = Map::new(root, String::new()).map_err(ManifestError::rooted)?;
    for (key, _) in root.entries {
        if !TOP_LEVEL.contains(&key.as_str()) {
            return Err(ManifestError::new(crate::preview(key), Problem::UnknownKey));
        }
    }
    match root.get("version") {
        None => return Err(root.error("version", Problem::Missing)),
        Some(Yaml::Number(1.0)) => {}
        Some(_) => return Err(root.error("version", Problem::UnsupportedVersion)),
    }

    let environments = root.filled_list("environments")?.into_iter().map(environment).collect::<Result<Vec<_>>>()?;
    unique("environments", environments.iter().map(|environment| environment.name.as_str()))?;
    let namespaces = root.filled_list("namespaces")?.into_iter().map(namespace).collect::<Result<Vec<_>>>()?;
    unique("namespaces", namespaces.iter().map(|namespace| namespace.name.as_str()))?;

    let sops_map = root.map("sops")?;
    let sops = global_sops(&sops_map)?;
    for (i, environment) in environments.iter().enumerate() {
        let backend = environment.sops.as_ref().map_or(sops.backend, |own| own.backend);
        if !environment.recipients.is_empty() && backend != Backend::Age {
            return Err(ManifestError::new(format!("environments[{i}].recipients"), Problem::RecipientsWithoutAge));
        }
    }

    let file_pattern = root.text("file_pattern")?;
    for token in ["{namespace}", "{environment}"] {
        if !file_pattern.contains(token) {
            return Err(root.error("file_pattern", Problem::PatternLacks { token }));
        }
    }

    let declared = Declared {
        environments: environments.iter().map(|environment| environment.name.as_str()).collect(),
        namespaces: namespaces.iter().map(|namespace| namespace.name.as_str()).collect(),
    };
    let identities = match root.get("service_identities") {
        None => Vec::new(),
        Some(_) => root
            .list("service_identities")?
            .into_iter()
            .map(|(entry, path)| identity(entry, path, &declared))
            .collect::<Result<Vec<_>>>()?,
    };
    unique("service_identities", identities.iter().map(|identity| identity.name.as_str()))?;

    Ok(Manifest {
        sops,
        recipients: global_recipients(&sops_map),
        file_pattern: file_pattern.into(),
        identities,
        environments,
        namespaces,
    })
}

fn unique<'a>(field: &str, names: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(ManifestError::new(field, Problem::DuplicateName { name: crate::preview(name) }));
        }
    }
    Ok(())
}

fn environment((entry, path): (&Yaml, String)) -> Result<Environment> {
    let map = Map::new(entry, path)?;
    let name = map.name()?;
    let description = map.text("description")?.into();
    let sops = match map.get("sops") {
        None => None,
        Some(_) => Some(environment_sops(&map.map("sops")?)?),
    };
    let recipients = match map.get("recipients") {
        None => Vec::new(),
        Some(_) => map.list("recipients")?.into_iter().map(recipient).collect::<Result<_>>()?,
    };
    let protected = matches!(map.get("protected"), Some(Yaml::Bool(true)));
    Ok(Environment { name, description, protected, sops, recipients })
}

fn environment_sops(map: &Map<'_>) -> Result<SopsConfig> {
    let config = sops_config(map, "backend")?;
    let own_field = match config.backend {
        Backend::Age => None,
        Backend::AwsKms => Some(("aws_kms_arn", &config.aws_kms_arn)),
        Backend::GcpKms => Some(("gcp_kms_resource_id", &config.gcp_kms_resource_id)),
        Backend::AzureKeyVault => Some(("azure_kv_url", &config.azure_kv_url)),
        Backend::Pgp => Some(("pgp_fingerprint", &config.pgp_fingerprint)),
        Backend::Hsm => Some(("pkcs11_uri", &config.pkcs11_uri)),
    };
    if let Some((field, None)) = own_field {
        return Err(map.error(field, Problem::Missing));
    }
    // Only here does Clef look at the URI of an environment, so one that is not used may be anything.
    if config.backend == Backend::Hsm && !config.pkcs11_uri.as_deref().is_some_and(is_pkcs11_uri) {
        return Err(map.error("pkcs11_uri", Problem::BadPkcs11Uri));
    }
    Ok(config)
}

fn global_sops(map: &Map<'_>) -> Result<SopsConfig> {
    let config = sops_config(map, "default_backend")?;
    match (map.get("pkcs11_uri"), &config.pkcs11_uri) {
        (Some(_), None) => Err(map.error("pkcs11_uri", Problem::NotAString)),
        (_, Some(uri)) if !is_pkcs11_uri(uri) => Err(map.error("pkcs11_uri", Problem::BadPkcs11Uri)),
        (None, _) if config.backend == Backend::Hsm => Err(map.error("pkcs11_uri", Problem::Missing)),
        _ => Ok(config),
    }
}

fn sops_config(map: &Map<'_>, backend_field: &str) -> Result<SopsConfig> {
    let backend = Backend::from_name(map.text(backend_field)?)
        .ok_or_else(|| map.error(backend_field, Problem::UnknownBackend))?;
    Ok(SopsConfig {
        backend,
        aws_kms_arn: map.optional_text("aws_kms_arn"),
        gcp_kms_resource_id: map.optional_text("gcp_kms_resource_id"),
        azure_kv_url: map.optional_text("azure_kv_url"),
        pgp_fingerprint: map.optional_text("pgp_fingerprint"),
        pkcs11_uri: map.optional_text("pkcs11_uri"),
    })
}

/// Not checked by Clef, so not here.
fn global_recipients(sops: &Map<'_>) -> Vec<Recipient> {
    let Ok(entries) = sops.map("age").and_then(|age| age.list("recipients")) else {
        return Vec::new();
    };
    let recipient = |(entry, path): (&Yaml, String)| match entry {
        Yaml::Text(key) => Some(Recipient { key: key.clone(), label: None }),
        _ => {
            let map = Map::new(entry, path).ok()?;
            Some(Recipient { key: map.optional_text("key")?, label: map.optional_text("label") })
        }
    };
    entries.into_iter().filter_map(recipient).collect()
}

fn recipient((entry, path): (&Yaml, String)) -> Result<Recipient> {
    let (text, label, field) = match entry {
        Yaml::Text(text) => (text.as_str(), None, path),
        _ => {
            let map = Map::new(entry, path)?;
            let field = map.at("key");
            match map.get("key") {
                Some(Yaml::Text(text)) => (text.as_str(), map.optional_text("label"), field),
                Some(_) => return Err(ManifestError::new(field, Problem::NotAString)),
                None => return Err(ManifestError::new(field, Problem::Missing)),
            }
        }
    };
    let key = age_key(text).map_err(|problem| ManifestError::new(field, Problem::BadAgeKey(problem)))?;
    Ok(Recipient { key, label })
}

fn namespace((entry, path): (&Yaml, String)) -> Result<Namespace> {
    let map = Map::new(entry, path)?;
    let name = map.name()?;
    let description = map.text("description")?.into();
    Ok(Namespace { name, description, schema: map.optional_text("schema") })
}

/// What identities may refer to.
struct Declared<'a> {
    environments: BTreeSet<&'a str>,
    namespaces: BTreeSet<&'a str>,
}

fn identity(entry: &Yaml, path: String, declared: &Declared<'_>) -> Result<Identity> {
    let map = Map::new(entry, path)?;
    let name = map.text("name")?;
    if !is_dns_label(name) {
        return Err(map.error("name", Problem::BadIdentityName));
    }
    let description = match map.get("description") {
        None | Some(Yaml::Null) => String::new(),
        Some(Yaml::Text(text)) => text.clone(),
        Some(_) => return Err(map.error("description", Problem::NotAString)),
    };
    let pack_only = match map.get("pack_only") {
        None => false,
        Some(Yaml::Bool(value)) => *value,
        Some(_) => return Err(map.error("pack_only", Problem::NotABoolean)),
    };
    let namespaces = map
        .filled_list("namespaces")?
        .into_iter()
        .map(|(entry, path)| match entry {
            Yaml::Text(name) if declared.namespaces.contains(name.as_str()) => Ok(name.clone()),
            Yaml::Text(_) => Err(ManifestError::new(path, Problem::UnknownNamespace)),
            _ => Err(ManifestError::new(path, Problem::NotAString)),
        })
        .collect::<Result<_>>()?;
    let environments_map = map.map("environments")?;
    let environments = environments_map
        .entries
        .iter()
        .map(|(name, entry)| {
            let path = environments_map.at(name);
            if !declared.environments.contains(name.as_str()) {
                return Err(ManifestError::new(path, Problem::UnknownEnvironment));
            }
            Ok((name.clone(), target(&Map::new(entry, path)?)?))
        })
        .collect::<Result<_>>()?;
    Ok(Identity { name: name.into(), description, namespaces, environments, pack_only })
}

fn target(map: &Map<'_>) -> Result<Target> {
    match (map.get("recipient"), map.get("kms")) {
        (Some(_), Some(_)) => Err(ManifestError::new(map.path.clone(), Problem::TwoTargets)),
        (None, None) => Err(ManifestError::new(map.path.clone(), Problem::NoTarget)),
        (Some(Yaml::Text(text)), None) => {
            let recipient = age_key(text).map_err(|problem| map.error("recipient", Problem::BadAgeKey(problem)))?;
            Ok(Target::Age { recipient })
        }
        (Some(_), None) => Err(map.error("recipient", Problem::NotAString)),
        (None, Some(_)) => kms_target(&map.map("kms")?),
    }
}

fn kms_target(map: &Map<'_>) -> Result<Target> {
    let provider = match map.get("provider") {
        Some(Yaml::Text(text)) => KmsProvider::from_name(text),
        _ => None,
    };
    let provider = provider.ok_or_else(|| map.error("provider", Problem::UnknownProvider))?;
    let key_id = map.text("keyId")?;
    if provider == KmsProvider::Aws {
        kms_arn(key_id).map_err(|segment| map.error("keyId", Problem::BadArn(segment)))?;
    }
    if map.get("region").is_some() {
        return Err(map.error("region", Problem::RegionNotAllowed));
    }
    Ok(Target::Kms { provider, key_id: key_id.into() })
}

/// A map and where it stands, so that errors can say so.
struct Map<'a> {
    entries: &'a [(String, Yaml)],
    path: String,
}

impl<'a> Map<'a> {
    fn new(value: &'a Yaml, path: String) -> Result<Self> {
        match value {
            Yaml::Map(entries) => Ok(Self { entries, path }),
            _ => Err(ManifestError::new(path, Problem::NotAMap)),
        }
    }

    fn at(&self, key: &str) -> String {
        let dot = if self.path.is_empty() { "" } else { "." };
        format!("{}{dot}{}", self.path, crate::preview(key))
    }

    fn error(&self, key: &str, problem: Problem) -> ManifestError {
        ManifestError::new(self.at(key), problem)
    }

    fn get(&self, key: &str) -> Option<&'a Yaml> {
        self.entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// A text that must be there and not empty.
    fn text(&self, key: &str) -> Result<&'a str> {
        match self.get(key) {
            Some(Yaml::Text(text)) if !text.is_empty() => Ok(text),
            None | Some(Yaml::Null | Yaml::Text(_)) => Err(self.error(key, Problem::Missing)),
            Some(_) => Err(self.error(key, Problem::NotAString)),
        }
    }

    /// A text that counts only when it is one.
    fn optional_text(&self, key: &str) -> Option<String> {
        match self.get(key) {
            Some(Yaml::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    /// The name of an environment or a namespace.
    fn name(&self) -> Result<String> {
        let name = self.text("name")?;
        if is_name(name) { Ok(name.into()) } else { Err(self.error("name", Problem::BadName)) }
    }

    fn map(&self, key: &str) -> Result<Self> {
        match self.get(key) {
            None => Err(self.error(key, Problem::Missing)),
            Some(value) => Self::new(value, self.at(key)),
        }
    }

    fn list(&self, key: &str) -> Result<Vec<(&'a Yaml, String)>> {
        match self.get(key) {
            None => Err(self.error(key, Problem::Missing)),
            Some(Yaml::List(items)) => {
                let path = self.at(key);
                Ok(items.iter().enumerate().map(|(i, item)| (item, format!("{path}[{i}]"))).collect())
            }
            Some(_) => Err(self.error(key, Problem::NotAList)),
        }
    }

    fn filled_list(&self, key: &str) -> Result<Vec<(&'a Yaml, String)>> {
        match self.get(key) {
            Some(Yaml::Null) => Err(self.error(key, Problem::Missing)),
            Some(Yaml::List(items)) if items.is_empty() => Err(self.error(key, Problem::EmptyList)),
            _ => self.list(key),
        }
    }
}
