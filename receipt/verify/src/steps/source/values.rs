//! What the policy asks of values that nobody outside can see: that they fit a schema, that none is a placeholder.

use std::collections::BTreeSet;

use packproof_receipt::{
    policy::{Pack, Pending},
    statement::{PackPredicate, Role},
};

use super::of_role;
use crate::checks::{Refusal, ensure, quote};

/// The schemas listed are pinned, byte for byte, and where the policy pins any, each cell fits one of them.
pub(super) fn check_schemas(predicate: &PackPredicate, pack: &Pack) -> Result<(), Refusal> {
    let mut listed = BTreeSet::new();
    for schema in of_role(predicate, Role::Schema) {
        let pinned = pack.schemas.get(&schema.name);
        ensure(pinned.is_some() && schema.digest.get("sha256") == pinned, "schema_not_in_policy", || {
            format!("schema {} is not the one that the policy pins", quote(&schema.name))
        })?;
        listed.insert(&schema.name);
    }
    for cell in of_role(predicate, Role::Cell) {
        let right = match &cell.annotations.schema {
            Some(schema) => listed.contains(schema),
            None => pack.schemas.is_empty(),
        };
        ensure(right, "cell_schema", || {
            format!("cell {} is not said to fit one of the schemas that the policy pins", quote(&cell.name))
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
