//! What a program says of a node, by the plugin API that Nagios, Icinga and their kin share: the exit code is the
//! verdict, the first line is for people (Nagios Plugins Development Guidelines, "Plugin Output" and "Plugin Return
//! Codes").

use crate::engine::time::Duration;
use crate::pool::state::words;
use core::fmt;

/// Characters kept of the first line.
const TEXT_MAX: usize = 300;

words! {
    /// A plugin's verdict; the numbers are its exit codes.
    PluginStatus {
        /// The plugin was able to check the service, and it works.
        Ok = 0 => "ok",
        /// The service works, but a limit is passed.
        Warning = 1 => "warning",
        /// The service does not work.
        Critical = 2 => "critical",
        /// The plugin could not find out. Never counted against a node.
        Unknown = 3 => "unknown",
    }
}

/// How the program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginEnd {
    /// It ended by itself, with this code.
    Exited(u8),
    /// A signal of this number ended it.
    Signalled(i32),
    /// Its time was up, and it was killed.
    TimedOut(Duration),
    /// It could not be started; why.
    NotStarted(String),
    /// It ended, but the host took the exit code away.
    Lost,
}

/// A plugin's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginWord {
    /// Its verdict.
    pub status: PluginStatus,
    /// Its first line up to a `|`, or what happened instead; never empty, at most 300 characters, none of them a
    /// control character.
    pub text: String,
    /// What follows the first `|` of that line: figures that nobody here looks at.
    pub figures: String,
}

impl PluginStatus {
    /// Whether the service works; `None` if the plugin did not find out.
    pub const fn works(self) -> Option<bool> {
        match self {
            PluginStatus::Ok | PluginStatus::Warning => Some(true),
            PluginStatus::Critical => Some(false),
            PluginStatus::Unknown => None,
        }
    }
}

/// Reads how the program ended and the first line of what it printed: of its output, or of its errors if its output is
/// empty.
///
/// A program that takes too long is `critical`, as monitoring servers have it: what it looks at hangs. One that crashes,
/// cannot be started or ends with a code above 3 has found nothing out.
pub fn read(end: &PluginEnd, output: &str, errors: &str) -> PluginWord {
    let first = |text: &str| text.lines().next().unwrap_or_default().trim().to_owned();
    let line = Some(first(output)).filter(|line| !line.is_empty()).unwrap_or_else(|| first(errors));
    let (text, figures) = line.split_once('|').unwrap_or((&line, ""));
    let said = clean(text);
    let (status, happened) = match end {
        PluginEnd::Exited(0) => (PluginStatus::Ok, None),
        PluginEnd::Exited(1) => (PluginStatus::Warning, None),
        PluginEnd::Exited(2) => (PluginStatus::Critical, None),
        PluginEnd::Exited(3) => (PluginStatus::Unknown, None),
        PluginEnd::Exited(126) => {
            (PluginStatus::Unknown, Some("ended with code 126: what it calls cannot be executed".into()))
        }
        PluginEnd::Exited(127) => {
            (PluginStatus::Unknown, Some("ended with code 127: what it calls was not found".into()))
        }
        PluginEnd::Exited(code) => {
            (PluginStatus::Unknown, Some(format!("ended with code {code}, which means nothing for a check")))
        }
        PluginEnd::Signalled(signal) => (PluginStatus::Unknown, Some(format!("ended by signal {signal}"))),
        PluginEnd::TimedOut(after) => {
            (PluginStatus::Critical, Some(format!("did not end within {} ms", after.as_millis())))
        }
        PluginEnd::NotStarted(why) => (PluginStatus::Unknown, Some(clean(why))),
        PluginEnd::Lost => (
            PluginStatus::Unknown,
            Some(
                "its exit code is lost: the host ignores SIGCHLD or waits for children that are not its own"
                    .into(),
            ),
        ),
    };
    let text = match (happened, said.is_empty()) {
        (None, false) => said,
        (None, true) => format!("{} (no words)", status.name()),
        (Some(happened), true) => happened,
        (Some(happened), false) => clean(&format!("{happened}: {said}")),
    };
    PluginWord { status, text, figures: clean(figures) }
}

fn clean(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn word(end: PluginEnd, output: &str) -> (PluginStatus, String) {
        let word = read(&end, output, "");
        (word.status, word.text)
    }

    #[test]
    fn codes_are_verdicts() {
        for (code, status, works) in [
            (0, PluginStatus::Ok, Some(true)),
            (1, PluginStatus::Warning, Some(true)),
            (2, PluginStatus::Critical, Some(false)),
            (3, PluginStatus::Unknown, None),
        ] {
            assert_eq!(
                word(PluginEnd::Exited(code), "router fine | a=1;2;3\nmore | b=2\n"),
                (status, "router fine".into())
            );
            assert_eq!(status.works(), works);
            assert_eq!(word(PluginEnd::Exited(code), ""), (status, format!("{} (no words)", status.name())));
        }
        for code in 4..=255 {
            let (status, text) = word(PluginEnd::Exited(code), "");
            assert_eq!(status, PluginStatus::Unknown);
            assert!(text.contains(&code.to_string()), "{text}");
        }
    }

    #[test]
    fn other_ends() {
        assert_eq!(
            word(PluginEnd::TimedOut(Duration::from_millis(1500)), "looking\n"),
            (PluginStatus::Critical, "did not end within 1500 ms: looking".into())
        );
        assert_eq!(word(PluginEnd::Signalled(11), ""), (PluginStatus::Unknown, "ended by signal 11".into()));
        assert_eq!(word(PluginEnd::NotStarted("no such file".into()), "").1, "no such file");
        assert_eq!(word(PluginEnd::Lost, "fine").0, PluginStatus::Unknown);
    }

    #[test]
    fn words_and_figures() {
        let both = read(&PluginEnd::Exited(0), "up|t=3ms;;; n=4\r\nx", "warned");
        assert_eq!((both.text.as_str(), both.figures.as_str()), ("up", "t=3ms;;; n=4"));
        assert_eq!(read(&PluginEnd::Exited(2), "\n", "no route\n").text, "no route");
        assert_eq!(read(&PluginEnd::Exited(2), "|a=1", "").text, "critical (no words)");
    }

    proptest! {
        #[test]
        fn anything_printed_is_fit_to_show(code in any::<u8>(), output in any::<String>(), errors in any::<String>()) {
            let word = read(&PluginEnd::Exited(code), &output, &errors);
            prop_assert!(!word.text.is_empty() && word.text.chars().count() <= TEXT_MAX);
            prop_assert!(!word.text.chars().any(char::is_control));
            prop_assert!(!word.figures.chars().any(char::is_control));
        }
    }
}
