//! What the policy asks of values that nobody outside can see: that they fit a schema, that none is a placeholder.

use std::collections::BTreeSet;

use packproof_receipt::{
    policy::{Pack, Pending},
    statement::{PackPredicate, Role},
};

use super::of_role;
use crate::checks::{Refusal, ensure, quote};

/// The schemas listed are the pinned ones, byte for byte, and each cell names one of them or none.
pub(super) fn check_schemas(predicate: &PackPredicate, pack: &Pack) -> Result<(), Refusal> {
    let mut listed = BTreeSet::new();
    for schema in of_role(predicate, Role::Schema) {
        let pinned = pack.schemas.get(&schema.name);
        ensure(pinned.is_some() && schema.digest.get("sha256") == pinned, "schema_not_in_policy", || {
            format!("schema {} is not the one that the policy pins", quote(&schema.name))
        })?;
        listed.insert(&schema.name);
    }
    ensure(pack.schemas.keys().all(|path| listed.contains(path)), "schema_missing", || {
        "a schema that the policy pins was not looked at".to_owned()
    })?;
    for cell in of_role(predicate, Role::Cell) {
        let named = cell.annotations.schema.as_ref();
        ensure(named.is_none_or(|schema| listed.contains(schema)), "cell_schema", || {
            format!("cell {} is said to fit a schema that is not listed", quote(&cell.name))
        })?;
    }
    Ok(())
}

/// Without a rule the sidecars are not looked at, so none may be stated.
pub(super) fn check_pending(predicate: &PackPredicate, pack: &Pack) -> Result<(), Refusal> {
    let sidecars = of_role(predicate, Role::Sidecar).count();
    ensure(pack.pending.is_some() || sidecars == 0, "sidecar_not_in_policy", || {
        "sidecars are listed, and the policy does not look at them".to_owned()
    })?;
    for cell in of_role(predicate, Role::Cell) {
        let keys = &cell.annotations.pending_keys;
        ensure(keys.is_empty() || pack.pending == Some(Pending::Name), "pending_value", || {
            format!("values of cell {} are pending, and the policy refuses that", quote(&cell.name))
        })?;
    }
    Ok(())
}
