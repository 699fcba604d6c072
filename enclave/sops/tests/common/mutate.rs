//! One random change of a cell.

use super::random::Random;

/// The kinds of change.
const KINDS: usize = 32;

/// The changed cell and what was done. Some changes find nothing to change and leave the cell as it is.
pub(crate) fn mutate(random: &mut Random, cell: &str, json: bool) -> (String, &'static str) {
    let mut lines: Vec<String> = cell.lines().map(str::to_owned).collect();
    // A first line of data more often than one of the sops block, which is usually longer.
    let block = lines.iter().position(|line| line.trim_start().trim_matches('"').starts_with("sops")).unwrap_or(0);
    let at = if random.below(4) == 0 || block == 0 { random.below(lines.len()) } else { random.below(block) };
    let name = match random.below(KINDS) {
        0 => {
            let mut bytes = cell.as_bytes().to_vec();
            let i = random.below(bytes.len());
            bytes[i] = random.pick(b"aA0:# -\"'[]{}\n\t,&*!|>%=/+\\");
            return (String::from_utf8(bytes).unwrap_or_else(|_| cell.to_owned()), "byte changed");
        }
        1 => {
            lines.remove(at);
            "line removed"
        }
        2 => {
            lines.insert(at, lines[at].clone());
            "line repeated"
        }
        3 => {
            let other = (at + 1) % lines.len();
            lines.swap(at, other);
            "lines swapped"
        }
        4 => {
            let line = lines.remove(at);
            let to = random.below(block.min(lines.len()) + 1);
            lines.insert(to, line);
            "line moved"
        }
        5 | 6 => {
            let kind = random.pick(&["str", "int", "float", "bool", "time", "bytes", "comment"]);
            let values = cell.matches(",type:").count();
            let nth = random.below(values.max(1));
            return (replace_nth(cell, nth, kind), "type changed");
        }
        7 => {
            lines.retain(|line| {
                !line.contains("crypted_suffix") && !line.contains("crypted_regex") && !line.contains("comment_regex")
            });
            "selector removed"
        }
        8 => {
            let from =
                random.pick(&["unencrypted_suffix", "encrypted_suffix", "encrypted_regex", "encrypted_comment_regex"]);
            let to = random.pick(&["encrypted_suffix", "unencrypted_suffix", "encrypted_regex", "unencrypted_regex"]);
            return (cell.replacen(from, to, 1), "selector renamed");
        }
        9 => {
            let text = match json {
                true => cell.replacen("\"lastmodified\"", "\"mac_only_encrypted\": true, \"lastmodified\"", 1),
                false if cell.contains("mac_only_encrypted") => cell.replace("    mac_only_encrypted: true\n", ""),
                false => format!("{cell}    mac_only_encrypted: true\n"),
            };
            return (text, "mac_only_encrypted switched");
        }
        10 => {
            let line = lines[at].clone();
            if let (Some(start), Some(end)) = (line.find("ENC["), line.rfind(']')) {
                let clear = random.pick(&["clear", "5", "true", "null", "", "2026-01-02", "1.0"]);
                lines[at] = format!("{}{clear}{}", &line[..start], &line[end + 1..]);
            }
            "value made clear"
        }
        11..=13 if !json => {
            let indent: String = lines[at].chars().take_while(|c| *c == ' ').collect();
            let new = random.pick(&["null", "\"\"", "{}", "[]", "~", "x", "!!str x", "&b x", "!!merge x", "|\n"]);
            let key = random.pick(&["new", "new_unencrypted", "new_enc", "\"\"", "5", "<<", "a\u{2028}b", "k1"]);
            let new = if key == "<<" { random.pick(&[new, "{x: null}", "{sops: {}}", "[{}, {x: ''}]"]) } else { new };
            lines.insert(at, format!("{indent}{key}: {new}"));
            "entry added"
        }
        11..=13 => {
            let new = random.pick(&["null", "\"\"", "{}", "[]", "\"x\"", "5"]);
            lines.insert(at.clamp(1, block.max(1)), format!("\"new\": {new},"));
            "entry added"
        }
        14 => return (cell.replace('\n', "\r\n"), "CRLF"),
        15 => {
            lines[at] = lines[at].replacen('k', "K", 1);
            "key renamed"
        }
        16 => {
            lines.insert(at, String::new());
            "empty line added"
        }
        17..=20 if !json => {
            let indent: String = lines[at].chars().take_while(|c| *c == ' ').collect();
            let shift = random.pick(&["", "", "", " ", "    "]);
            let text = random.pick(&[" open", "open", " a comment", "", "Open  "]);
            lines.insert(at, format!("{indent}{shift}#{text}"));
            if random.below(4) == 0 {
                lines.insert(at + random.below(2), String::new());
            }
            "comment added"
        }
        21 if !json => {
            lines[at].push_str(random.pick(&[" # open", " #open", " # a comment", "# x"]));
            "comment added beside"
        }
        22 if !json => {
            lines.retain(|line| !line.trim_start().starts_with('#'));
            "comments removed"
        }
        17..=22 => {
            lines[at].push_str(random.pick(&[" ", ",", " // x", "\t", "}", "{}"]));
            "line extended"
        }
        23 => {
            let values: Vec<usize> = (0..lines.len()).filter(|i| lines[*i].contains("ENC[")).collect();
            if let (false, a, b) =
                (values.is_empty(), random.below(values.len().max(1)), random.below(values.len().max(1)))
            {
                let [a, b] = [values[a], values[b]];
                let (from, to) = (lines[a].find("ENC[").unwrap(), lines[b].find("ENC[").unwrap());
                let (left, right) = (lines[a][from..].to_owned(), lines[b][to..].to_owned());
                lines[a].replace_range(from.., &right);
                if a != b {
                    lines[b].replace_range(to.., &left);
                }
            }
            "values swapped"
        }
        24 => {
            let text = cell.replacen("lastmodified: \"20", "lastmodified: \"21", 1);
            return (text.replacen("\"lastmodified\": \"20", "\"lastmodified\": \"21", 1), "lastmodified changed");
        }
        25 => {
            lines[at].insert(0, ' ');
            "line indented"
        }
        26 => {
            // Items of a list only: elsewhere the additional data differs.
            if let Some(i) = (0..lines.len()).filter(|i| lines[*i].contains("- ENC[")).nth(random.below(3)) {
                lines[i] = lines[i].replacen("- ENC[", "#ENC[", 1);
            }
            "item made a comment"
        }
        27 => {
            let (from, to) = random.pick(&[
                ("version: 3.11.0", "version: 3.9.4"),
                ("version: 3.11.0", "version: 3.11"),
                ("version: 3.11.0", "version: \"\""),
                ("\"version\": \"3.11.0\"", "\"version\": \"v3\""),
                ("\n    mac: ", "\n    Mac: "),
                ("\n    age:\n", "\n    agee:\n"),
                ("recipient: age1", "recipient: Age1"),
                ("\n    lastmodified: ", "\n    tpm: []\n    lastmodified: "),
                ("\n    lastmodified: ", "\n    shamir_threshold: 2\n    lastmodified: "),
                ("type:str]\n    ", "type:str]x\n    "),
            ]);
            return (cell.replacen(from, to, 1), "metadata changed");
        }
        28 if !json && block > 0 => {
            let data: Vec<String> = lines.drain(..block).collect();
            lines.extend(data);
            "sops block first"
        }
        29 if !json => {
            lines.insert(0, random.pick(&["%YAML 1.1\n---", "%YAML 1.2\n---", "---", "%TAG ! tag:x,\n---"]).to_owned());
            "start of a document added"
        }
        30 if !json => {
            // The line of a map or a list: another tag than its own is refused by sops, too.
            if let Some(line) = lines.iter_mut().filter(|line| line.ends_with(':')).nth(random.below(3)) {
                line.push_str(random.pick(&[" !!map", " !!seq", " !x"]));
            }
            "tag added"
        }
        _ => return (cell[..cell.floor_char_boundary(random.below(cell.len()))].to_owned(), "cut"),
    };
    (lines.join("\n") + "\n", name)
}

fn replace_nth(cell: &str, nth: usize, kind: &str) -> String {
    let Some((start, _)) = cell.match_indices(",type:").nth(nth) else { return cell.to_owned() };
    let start = start + ",type:".len();
    let end = cell[start..].find(']').map_or(start, |end| start + end);
    format!("{}{kind}{}", &cell[..start], &cell[end..])
}
