//! What a link tells of its logins, for the log and the figures.

use super::{Context, Link};
use crate::engine::Severity;
use crate::engine::notice::{Notice, Reason};
use crate::wire::Encryption;

impl Link {
    pub(super) fn notice(
        &self,
        context: &mut Context<'_>,
        reason: Reason,
        severity: Severity,
        message: String,
    ) {
        context.notices.push_back(Notice { node: Some(self.setup.node), reason, severity, message });
    }

    /// Counts the logins since the last probe, and tells of one that differs from those before.
    pub(super) fn count_logins(&mut self, context: &mut Context<'_>) {
        let made = self.session.logins().saturating_sub(self.counted_logins);
        if made == 0 {
            return;
        }
        self.counted_logins += made;
        match self.encrypted {
            true => self.tally.tls_logins += made,
            false => self.tally.plain_logins += made,
        }
        let Some((flavour, version)) = self.session.server() else { return };
        let login = (flavour, version, self.encrypted);
        if self.told.replace(login) == Some(login) {
            return;
        }
        let how = match (self.encrypted, &self.setup.unix) {
            (true, _) => "over TLS",
            (false, None) => "in clear",
            (false, Some(_)) => "over a unix socket",
        };
        let version = version.map_or_else(|| "of an unknown version".into(), |version| version.to_string());
        let text = format!("logged in to {flavour} {version} {how}");
        self.notice(context, Reason::Login, Severity::Info, text);
        if self.setup.session.encryption == Encryption::IfOffered
            && !self.encrypted
            && self.setup.tls.is_some()
        {
            let text = "the server offers no TLS, so the login went on in clear; tls = \"required\" would refuse that";
            self.notice(context, Reason::NoTls, Severity::Warning, text.into());
        }
    }
}
