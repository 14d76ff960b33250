//! `primacy.toml(5)`: the page of the documentation, in the language of man(7).

use std::fmt::Write;

const PAGE: &str = include_str!("../../../docs/configuration.md");

/// The page as roff.
pub fn configuration() -> String {
    let mut out = format!(
        ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n.TH primacy.toml 5 \"\" \"primacy {}\" \"File Formats\"\n.SH NAME\n\
         primacy.toml \\- the configuration of primacy(1)\n",
        env!("CARGO_PKG_VERSION")
    );
    out.push_str(&roff(PAGE));
    out.push_str(".SH SEE ALSO\n\\fBprimacy\\fR(1)\n");
    out
}

/// The parts of Markdown that the page uses: headings, paragraphs, lists, tables, blocks of code.
fn roff(page: &str) -> String {
    let mut out = String::new();
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("# ") {
            let _ = writeln!(
                out,
                ".SH {}",
                escaped(&title.to_uppercase()).replace("CONFIGURATION", "DESCRIPTION")
            );
        } else if let Some(title) = line.strip_prefix("## ") {
            let _ = writeln!(out, ".SH {}", escaped(&title.to_uppercase()));
        } else if let Some(title) = line.strip_prefix("### ") {
            let _ = writeln!(out, ".SS {}", escaped(title));
        } else if line.starts_with("```") {
            out.push_str(".PP\n.RS 4\n.nf\n");
            for code in lines.by_ref().take_while(|line| !line.starts_with("```")) {
                let _ = writeln!(out, "{}", guarded(&escaped(code)));
            }
            out.push_str(".fi\n.RE\n");
        } else if line.starts_with('|') {
            let mut rows = vec![cells(line)];
            while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
                rows.push(cells(row));
            }
            table(&mut out, &rows);
        } else if let Some(item) = line.strip_prefix("- ") {
            let _ = writeln!(out, ".IP \\(bu 2\n{}", guarded(&spans(item)));
        } else if line.is_empty() {
            if lines
                .peek()
                .is_some_and(|next| next.starts_with(|c: char| c.is_alphanumeric() || "`*[".contains(c)))
            {
                out.push_str(".PP\n");
            }
        } else {
            let _ = writeln!(out, "{}", guarded(&spans(line.trim_start())));
        }
    }
    out
}

fn cells(row: &str) -> Vec<String> {
    row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_string()).collect()
}

/// Each row is an entry under its first cell; what stands in the column `meaning` comes last, as text.
fn table(out: &mut String, rows: &[Vec<String>]) {
    let Some((head, rows)) = rows.split_first() else { return };
    for row in rows.iter().filter(|row| !row.iter().all(|cell| cell.trim_matches(['-', '|']).is_empty())) {
        let Some((first, rest)) = row.split_first() else { continue };
        let _ = writeln!(out, ".TP\n\\fB{}\\fR", spans(first).replace("\\fB", "").replace("\\fR", ""));
        let named = head.iter().skip(1).zip(rest);
        let (meaning, facts): (Vec<_>, Vec<_>) = named.partition(|(name, _)| *name == "meaning");
        let facts: Vec<String> = facts
            .iter()
            .map(|(name, value)| match name.as_str() {
                "type" | "range" => spans(value),
                name => format!("{}: {}", spans(name), spans(value)),
            })
            .collect();
        if !facts.is_empty() {
            let _ = writeln!(out, "{}.", guarded(&facts.join("; ")));
        }
        for (_, text) in meaning {
            let _ = writeln!(out, "{}", guarded(&spans(text)));
        }
    }
}

/// Bold for code and emphasis, the words alone for links.
fn spans(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['`', '[', '*']) {
        out.push_str(&escaped(&rest[..at]));
        let found = &rest[at..];
        let (shown, end) =
            if let Some((code, after)) = found.strip_prefix('`').and_then(|t| t.split_once('`')) {
                (format!("\\fB{}\\fR", escaped(code)), after)
            } else if let Some((bold, after)) = found.strip_prefix("**").and_then(|t| t.split_once("**")) {
                (format!("\\fB{}\\fR", escaped(bold)), after)
            } else if let Some((words, after)) = found.strip_prefix('[').and_then(|t| t.split_once("]("))
                && let Some((_, after)) = after.split_once(')')
            {
                (spans(words), after)
            } else {
                let (one, after) = found.split_at(1);
                (escaped(one), after)
            };
        out.push_str(&shown);
        rest = end;
    }
    out.push_str(&escaped(rest));
    out
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\*(Aq")
        .replace('…', "...")
        .replace('–', "\\(en")
}

/// A line of text that would be a request.
fn guarded(line: &str) -> String {
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_string() }
}

#[cfg(test)]
mod tests {
    use super::{PAGE, configuration, roff};

    #[test]
    fn every_key_is_an_entry() {
        let page = configuration();
        let keys = PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let mut count = 0;
        for key in keys {
            let entry = format!(".TP\n\\fB{}\\fR\n", key.replace('-', "\\-"));
            assert!(page.contains(&entry), "{key} has no entry");
            count += 1;
        }
        assert!(count > 40, "{count}");
        for mark in ["`", "](", "**", "\n|", "\n#", "\n-"] {
            assert!(!page.contains(mark), "{mark:?} is left over");
        }
    }

    #[test]
    fn no_text_becomes_a_request() {
        assert_eq!(roff(".SH x\n"), "\\&.SH x\n");
        assert_eq!(roff("it's [a](b.md) `c-d` \\e\n"), "it\\*(Aqs a \\fBc\\-d\\fR \\ee\n");
        assert_eq!(roff("```\n.so x\n```\n"), ".PP\n.RS 4\n.nf\n\\&.so x\n.fi\n.RE\n");
        let table =
            "| key | type | default | meaning |\n|---|---|---|---|\n| `a` | word | none | What *is* it. |\n";
        assert_eq!(roff(table), ".TP\n\\fBa\\fR\nword; default: none.\nWhat *is* it.\n");
    }
}
