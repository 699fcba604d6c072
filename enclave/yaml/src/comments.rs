//! Comments, and what they stand above.
//!
//! YAML says that comments mean nothing and may stand anywhere, and the parser drops them. Here they are found in the
//! gaps between scalars, whose places the parser tells, and only one position is taken to mean anything: on lines of
//! their own, right above an entry of a block map or an item of a block list, indented exactly like it. All others are
//! [`Comments::loose`].

use std::collections::BTreeMap;
use std::mem;

/// One line of comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// Where, counted from 1.
    pub line: usize,
    /// Everything between `#` and the line break.
    pub text: String,
    /// It stands above an item of a list.
    pub above_item: bool,
}

/// The comments of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comments {
    /// Those above an element. Elements are the entries of maps and the items of lists, numbered from 0 as they start in
    /// the document, so an entry comes before all that its value holds.
    pub above: BTreeMap<usize, Vec<Comment>>,
    /// All others: beside something, above an empty line, indented otherwise than what follows or above one that is, at
    /// the end.
    pub loose: Vec<Comment>,
}

/// Where the parser found things, in the order of the document. Indices and columns count characters from 0.
#[derive(Default)]
pub(crate) struct Layout {
    pub(crate) elements: Vec<Element>,
    pub(crate) scalars: Vec<Place>,
}

pub(crate) struct Element {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) is_item: bool,
    /// The first character of the map or list that holds it.
    pub(crate) parent: usize,
}

/// Finds the comments of a text that has been parsed.
pub(crate) fn find(text: &str, layout: Layout) -> Comments {
    let mut comments = Comments::default();
    let mut elements = layout.elements.into_iter().enumerate().peekable();
    let chars: Vec<char> = text.chars().collect();
    let mut scalars = layout.scalars.into_iter().map(|scalar| scalar.range(&chars)).peekable();
    let mut waiting: Vec<(usize, Comment)> = Vec::new();
    let mut start = 0_usize;
    for (line, content) in (1_usize..).zip(chars.split(|c| *c == '\n')) {
        let next_start = start.saturating_add(content.len()).saturating_add(1);
        let content = content.strip_suffix(&['\r']).unwrap_or(content);
        let indent = content.iter().take_while(|c| matches!(c, ' ' | '\t')).count();
        // The first `#` that is in no scalar; before it there is nothing, or white space and what precedes it.
        let mut hash = None;
        for (column, c) in content.iter().enumerate().skip(indent) {
            let index = start.saturating_add(column);
            while scalars.next_if(|(_, end)| *end <= index).is_some() {}
            let in_scalar = scalars.peek().is_some_and(|(first, _)| *first <= index);
            if *c == '#' && !in_scalar {
                hash = Some(column);
                break;
            }
        }
        if let Some(column) = hash {
            let text = content.iter().skip(column.saturating_add(1)).collect();
            let comment = Comment { line, text, above_item: false };
            if column == indent { waiting.push((column, comment)) } else { comments.loose.push(comment) }
        }
        if indent == content.len() {
            comments.loose.extend(waiting.drain(..).map(|(_, comment)| comment));
        }
        // A line with more than white space and a comment of its own.
        if indent < content.len() && hash != Some(indent) {
            while elements.next_if(|(_, element)| element.line < line).is_some() {}
            let above = elements.peek().filter(|(_, element)| {
                let starts_here = if element.is_item {
                    content.get(indent) == Some(&'-') && element.column > indent
                } else {
                    element.column == indent
                };
                let in_flow = matches!(chars.get(element.parent), Some('[' | '{'));
                element.line == line && starts_here && !in_flow
            });
            // Go's reader counts all before one that is indented otherwise to what precedes them.
            let others =
                waiting.iter().rposition(|(column, _)| *column != indent).map_or(0, |last| last.saturating_add(1));
            for (i, (_, mut comment)) in mem::take(&mut waiting).into_iter().enumerate() {
                match above {
                    Some((number, element)) if i >= others => {
                        comment.above_item = element.is_item;
                        comments.above.entry(*number).or_default().push(comment);
                    }
                    _ => comments.loose.push(comment),
                }
            }
        }
        start = next_start;
    }
    comments.loose.extend(waiting.into_iter().map(|(_, comment)| comment));
    comments
}

/// Where a scalar is.
pub(crate) struct Place {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// In `"` or `'`.
    pub(crate) quoted: bool,
}

impl Place {
    /// First character and the one after the last. The parser counts what follows a quoted scalar on its line to it.
    fn range(&self, chars: &[char]) -> (usize, usize) {
        let Some(quote @ ('"' | '\'')) = chars.get(self.start).copied().filter(|_| self.quoted) else {
            return (self.start, self.end);
        };
        let mut at = self.start.saturating_add(1);
        while let Some(c) = chars.get(at) {
            let next = chars.get(at.saturating_add(1));
            let escapes = if quote == '"' { *c == '\\' } else { *c == quote && next == Some(&quote) };
            at = at.saturating_add(if escapes { 2 } else { 1 });
            if *c == quote && !escapes {
                break;
            }
        }
        (self.start, at.min(self.end))
    }
}
