//! Comments that sops may take for values.
//!
//! sops decrypts comments too, and puts what comes out where the comment was. Two kinds of comment then count as values
//! in sops: `#` with nothing after it within a list, which becomes an item `""`, and `#ENC[…]` of another type than
//! `comment`, which enters the MAC and, within a list, becomes an item. sops writes the first only by mistake and the
//! second never. This reader drops comments, so both are refused.

use packproof_yaml::Comments;

use crate::SopsError;
use crate::tree::Tree;

/// Refuses every `#ENC[…]` that is not of type `comment`, and those within texts too: looking is all that is needed here.
pub(crate) fn refuse_sealed_values(text: &str) -> Result<(), SopsError> {
    for (line, content) in (1_usize..).zip(text.split('\n')) {
        let Some((_, rest)) = content.split_once("#ENC[AES256_GCM,data:") else { continue };
        let rest = rest.strip_suffix('\r').unwrap_or(rest);
        if !rest.ends_with(",type:comment]") || rest.matches(",type:").count() != 1 {
            return Err(SopsError::CommentAsValue { line });
        }
    }
    Ok(())
}

/// Whether there may be an empty comment, so that finding all comments is worth while.
pub(crate) fn may_have_empty(text: &str) -> bool {
    text.split('\n').any(|line| line.trim_end().ends_with('#'))
}

/// Refuses empty comments that may belong to a list: above an item, and loose ones when `map` has a list somewhere.
pub(crate) fn refuse_empty_in_lists(comments: &Comments, map: &[(String, Tree)]) -> Result<(), SopsError> {
    let loose = if map.iter().any(|(_, value)| has_list(value)) { comments.loose.as_slice() } else { &[] };
    let above_items = comments.above.values().flatten().filter(|comment| comment.above_item);
    match above_items.chain(loose).find(|comment| comment.text.trim().is_empty()) {
        Some(comment) => Err(SopsError::CommentAsValue { line: comment.line }),
        None => Ok(()),
    }
}

/// Recursion is bounded by the YAML reader's depth limit.
fn has_list(tree: &Tree) -> bool {
    match tree {
        Tree::Leaf(_) => false,
        Tree::List(_) => true,
        Tree::Map(map) => map.iter().any(|(_, value)| has_list(value)),
        Tree::Commented(_, tree) => has_list(tree),
    }
}
