//! What of the configuration is about webhooks.

use guildhall_webhooks::WebhookOptions;
use serde::{Deserialize, Serialize};

/// How messages go to partners.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Webhooks {
    /// Whether messages may go to plain `http` and to addresses of private networks. For development: whoever may make a
    /// webhook can have this node knock on any door of its network then.
    pub allow_insecure: bool,
    /// How many webhooks one node delivers to at the same time, 1 to 256.
    pub concurrency: usize,
    /// How many webhooks an association may have, 1 to 1000.
    pub per_association: usize,
}

impl Default for Webhooks {
    fn default() -> Self {
        let options = WebhookOptions::default();
        Self {
            allow_insecure: options.allow_insecure,
            concurrency: options.concurrency,
            per_association: options.endpoints,
        }
    }
}

impl Webhooks {
    /// What is wrong with the settings, each with its name.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(1..=256).contains(&self.concurrency) {
            problems.push("webhooks.concurrency must be between 1 and 256".to_owned());
        }
        if !(1..=1_000).contains(&self.per_association) {
            problems.push("webhooks.per_association must be between 1 and 1000".to_owned());
        }
        problems
    }

    /// What webhooks run with.
    pub(crate) fn options(&self) -> WebhookOptions {
        WebhookOptions {
            allow_insecure: self.allow_insecure,
            concurrency: self.concurrency,
            endpoints: self.per_association,
            ..WebhookOptions::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_setting_is_named() {
        assert_eq!(Webhooks::default().problems(), Vec::<String>::new());
        let wrong = Webhooks { concurrency: 0, per_association: 1_001, ..Webhooks::default() };
        assert_eq!(
            wrong.problems(),
            ["webhooks.concurrency must be between 1 and 256", "webhooks.per_association must be between 1 and 1000"]
        );
    }
}
