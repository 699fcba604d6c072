//! Step 6: schemas and pending values.

use super::*;

const SCHEMA: &str = "schemas/stripe.yaml";

fn schema_object(predicate: &mut PackPredicate) {
    let mut object = of_role(predicate, Role::Manifest).clone();
    object.name = SCHEMA.into();
    object.annotations.role = Role::Schema;
    object.digest.insert("sha256".into(), "ab".repeat(32));
    predicate.build_definition.resolved_dependencies.push(object);
    first_cell(predicate).annotations.schema = Some(SCHEMA.into());
}

fn under(rule: &str, change: impl Fn(&mut PackPredicate)) -> Report {
    let kit = Kit::with_policy(|policy| {
        replace(policy, r#"missing_cells = "skip""#, &format!("missing_cells = \"skip\"\n{rule}"))
    });
    let made = kit.make_with(Dev, &Tamper::predicate(change));
    verify(&made.receipt, &kit.expectations(&made, Dev))
}

fn pinned() -> String {
    format!("schemas = {{ \"{SCHEMA}\" = \"{}\" }}", "ab".repeat(32))
}

#[test]
fn a_pinned_schema_is_named() {
    let report = under(&pinned(), schema_object);
    assert_eq!(failures(&report), []);
    assert_eq!(report.facts.unwrap().inputs[0].schema.as_deref(), Some(SCHEMA));
}

#[test]
fn refuses_other_schemas_than_the_pinned() {
    let schema = |code: &str, change: fn(&mut PackPredicate)| {
        let report = under(&pinned(), |predicate| {
            schema_object(predicate);
            change(predicate);
        });
        assert_only(&report, "source_schemas", code);
    };
    schema("schema_not_in_policy", |predicate| {
        of_role(predicate, Role::Schema).digest.insert("sha256".into(), "cd".repeat(32));
    });
    schema("schema_not_in_policy", |predicate| of_role(predicate, Role::Schema).name = "other.yaml".into());
    schema("cell_schema", |predicate| first_cell(predicate).annotations.schema = Some("other.yaml".into()));
    schema("cell_schema", |predicate| first_cell(predicate).annotations.schema = None);
    predicate(Dev, "source_schemas", "schema_not_in_policy", schema_object);
}

fn sidecar(predicate: &mut PackPredicate) {
    let mut object = of_role(predicate, Role::Manifest).clone();
    object.name = "secrets/stripe/dev.clef-meta.yaml".into();
    object.annotations.role = Role::Sidecar;
    predicate.build_definition.resolved_dependencies.push(object);
}

#[test]
fn pending_values_are_named_or_refused() {
    let pending = |predicate: &mut PackPredicate| {
        sidecar(predicate);
        first_cell(predicate).annotations.pending_keys = vec!["API_KEY".into()];
    };
    let report = under(r#"pending = "name""#, pending);
    assert_eq!(failures(&report), []);
    assert_eq!(report.facts.unwrap().inputs[0].pending_keys, ["API_KEY"]);
    assert_only(&under(r#"pending = "refuse""#, pending), "source_pending", "pending_value");
    assert!(under(r#"pending = "refuse""#, sidecar).valid);
    predicate(Dev, "source_pending", "sidecar_not_in_policy", sidecar);
}
