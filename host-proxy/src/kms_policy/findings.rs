//! What `explain` finds, by stable code.

use serde_json::{Value, json};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// Somebody unexpected can open, or give himself the means by one call. Exit code 1.
    Critical,
    /// Nobody unexpected can, but a defence is missing or says something else than it seems to.
    Warning,
    /// Good to know.
    Note,
}

impl Severity {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) code: Code,
    pub(super) severity: Severity,
    /// `Sid` or place of the statement, with the file when it is not the key policy's.
    pub(super) statement: Option<String>,
    /// What was found.
    pub(super) message: String,
}

impl Finding {
    pub(super) fn new(code: Code, severity: Severity, statement: Option<&str>, message: impl Into<String>) -> Self {
        Self { code, severity, statement: statement.map(str::to_owned), message: message.into() }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "code": self.code.name(),
            "severity": self.severity.name(),
            "statement": self.statement,
            "message": self.message,
            "do": self.code.advice(),
        })
    }
}

/// Makes [`Code`] with its names and what to do about each, so that none can lack one.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $name:literal $advice:literal,)*) => {
        /// What was found.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// All of them.
            #[cfg(test)]
            pub(super) const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Stable snake_case code.
            pub(super) fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What to do.
            pub(super) fn advice(self) -> &'static str {
                match self {
                    $(Self::$variant => $advice,)*
                }
            }
        }
    };
}

codes! {
    /// Decrypt without an attestation document.
    OpensWithoutAttestation "opens_without_attestation"
        "pin the image in this statement and deny every other call: packproof kms-policy generate; or name the role with --expect-workload",
    /// Decrypt by any enclave image.
    OpensAnyImage "opens_any_image" "pin ImageSha384, PCR1 and PCR2 together in this statement",
    /// Decrypt by the pinned program under a policy of the caller's.
    OpensOtherPolicy "opens_other_policy" "pin ImageSha384 and PCR2 beside PCR1: PCR2 is the policy",
    /// Decrypt by any program that carries the pinned policy.
    OpensOtherProgram "opens_other_program" "pin ImageSha384 and PCR1 beside PCR2: PCR1 is the program",
    /// Decrypt by an enclave in debug mode.
    OpensDebugEnclave "opens_debug_enclave" "remove the zero measurement: a debug enclave's console shows its memory to the host",
    /// Decrypt by an instance with NitroTPM.
    OpensNitroTpm "opens_nitrotpm" "use kms:RecipientAttestation:ImageSha384, PCR1 and PCR2: NitroTPMPCR measures an instance, not an enclave",
    /// Decrypt by an image that was not given.
    OpensUnexpectedImage "opens_unexpected_image" "remove the measurements that are not of a release in use: packproof kms-policy generate",
    /// Decrypt through a key of the caller's.
    OpensByReEncrypt "opens_by_re_encrypt" "deny kms:ReEncryptFrom to everybody: it has no attestation, and the result is decrypted under another key",
    /// A reader who was named.
    ExpectedReader "expected_reader" "nothing; you named the role",
    /// A grant that opens.
    GrantOpens "grant_opens" "aws kms revoke-grant, and deny kms:CreateGrant",
    /// A grant that a Deny makes void.
    GrantBounded "grant_bounded" "aws kms revoke-grant: only the Deny statements of today stop it",
    /// The account's root as a principal.
    RootStatement "root_statement" "name roles instead: the root stands for every IAM policy of its account, today's and tomorrow's",
    /// Who may create grants.
    CreateGrantAllowed "create_grant_allowed" "deny kms:CreateGrant: a grant's constraints know no measurements",
    /// Who may replicate.
    ReplicateAllowed "replicate_allowed" "deny kms:ReplicateKey: a replica has a key policy of its own",
    /// The administrator.
    Administrator "administrator" "guard this role: whoever holds kms:PutKeyPolicy can pin another image; --expect-admin insists on it",
    /// More than one.
    SeveralAdministrators "several_administrators" "leave kms:PutKeyPolicy to one role, and name it with --expect-admin",
    /// Not the one named.
    AdministratorUnexpected "administrator_unexpected" "take kms:PutKeyPolicy away from everybody but the named administrator",
    /// A whole account, anybody, a service.
    AccountAdministers "account_administers" "give kms:PutKeyPolicy to one named role only",
    /// Nobody.
    NoAdministrator "no_administrator" "give kms:PutKeyPolicy to one named role; otherwise only AWS support can change the policy",
    /// Defence.
    ReEncryptNotDenied "re_encrypt_not_denied" "deny kms:ReEncryptFrom to everybody without conditions",
    /// Defence.
    CreateGrantNotDenied "create_grant_not_denied" "deny kms:CreateGrant to everybody without conditions",
    /// Defence.
    ReplicateNotDenied "replicate_not_denied" "deny kms:ReplicateKey to everybody without conditions",
    /// Defence.
    DeriveNotDenied "derive_shared_secret_not_denied" "deny kms:DeriveSharedSecret to everybody without conditions",
    /// Defence.
    AttestationDenyMissing "attestation_deny_missing" "add three Deny statements with StringNotEqualsIgnoreCase, one measurement each: packproof kms-policy generate",
    /// Defence, envelope.
    ReaderDenyMissing "reader_deny_missing" "deny kms:Decrypt to everybody but the workload roles: StringNotEquals on aws:PrincipalArn",
    /// Conditions that are ANDed in one Deny.
    DenyConditionsAnded "deny_conditions_anded" "split it: conditions of one statement are ANDed, so it spares every image that has one of the measurements",
    /// Sealed keys that somebody else knows.
    SealedKeyForgeable "sealed_key_forgeable" "deny kms:Encrypt and unattested kms:GenerateDataKey on a sealing key: who makes the blob knows the key",
    /// Data keys of an envelope key.
    DataKeyWithoutAttestation "data_key_without_attestation" "allow kms:GenerateDataKey on an envelope key to the pinned image only",
    /// A weaker pin.
    RegisterNotPinned "register_not_pinned" "pin ImageSha384, PCR1 and PCR2 together: hashes have no section boundaries",
    /// The image cannot do its work.
    ImageLockedOut "image_locked_out" "pin the image that you run: packproof kms-policy generate",
    /// `*`.
    WildcardPrincipal "wildcard_principal" "name roles: \"*\" is everybody in every AWS account",
    /// `kms:*`.
    WildcardAction "wildcard_action" "list the actions that are meant",
    /// `NotAction` and its like.
    InvertedElement "inverted_element" "write it without Not…: it means everything that is not listed, new things too",
    /// Letters matter.
    CaseSensitiveOperator "case_sensitive_operator" "use StringEqualsIgnoreCase, in a Deny StringNotEqualsIgnoreCase: KMS compares with lower-case hex",
    /// A Deny for the pinned image.
    DenyPositiveOperator "deny_positive_operator" "use StringNotEqualsIgnoreCase: this denies the image that it names, and no other",
    /// An Allow for every other image.
    AllowNegatedOperator "allow_negated_operator" "use StringEqualsIgnoreCase: a negated operator also holds for calls without attestation",
    /// `…IfExists`.
    ConditionIfExists "condition_if_exists" "drop IfExists: it holds for calls without attestation",
    /// `ForAllValues:`.
    ConditionForAllValues "condition_for_all_values" "drop ForAllValues: it holds for calls without attestation",
    /// Look-alike.
    NitroTpmCondition "nitrotpm_condition" "use kms:RecipientAttestation:PCR…: an enclave's document has no NitroTPMPCR, so this means an instance",
    /// Debug mode.
    ZeroMeasurement "zero_measurement" "remove it: zero is what a debug enclave measures",
    /// Not a measurement.
    MalformedMeasurement "malformed_measurement" "give 96 hex digits: SHA-384, not base64, no prefix",
    /// A pattern.
    WildcardMeasurement "wildcard_measurement" "give whole measurements",
    /// A condition key that no call has.
    UnknownAttestationKey "unknown_attestation_key" "use ImageSha384 or PCR0 to PCR31: no call has this key, so an Allow never and a negated Deny always matches",
    /// Not an operator.
    UnknownOperator "unknown_operator" "use an operator of IAM; this one was taken as an attacker would wish it",
    /// A statement about another key.
    ResourceOtherKey "resource_other_key" "use \"*\": in a key policy it means this key; the statement does nothing as it stands",
    /// Another account.
    ForeignAccount "foreign_account" "see that you mean it: that account's administrators decide who is this principal",
    /// A deleted principal.
    DeletedPrincipal "deleted_principal" "remove it: it was a principal that no longer exists",
    /// `mrk-`.
    MultiRegionKey "multi_region_key" "use a single-Region key: replicas have key policies of their own, which are not in this file",
    /// `EXTERNAL`.
    ImportedMaterial "imported_material" "use a key whose material KMS made: whoever imported it may still have it",
    /// `EXTERNAL_KEY_STORE`.
    ExternalKeyStore "external_key_store" "use a key in KMS itself: its external key manager decrypts for whom it likes",
    /// `AWS_CLOUDHSM`.
    CustomKeyStore "custom_key_store" "use a key in KMS itself, or see who is a crypto user of the cluster",
    /// Two repositories.
    KeySharedByRepositories "key_shared_by_repositories" "give each repository keys of its own: a cell copied to the other one is opened by that one's image",
    /// Two policies.
    KeySharedByPolicies "key_shared_by_policies" "give each environment and purpose a key of its own",
    /// No policy says what the key is for.
    UseNotKnown "use_not_known" "give --key or --describe, and the policy that uses the key: what must not be done with a sealing or an envelope key was not judged",
    /// Not judged.
    TooManyImages "too_many_images" "remove old measurements; this many are not judged",
}
