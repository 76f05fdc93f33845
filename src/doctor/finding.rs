use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing; nothing has to be done.
    Note,
    /// The broker runs, and worse than it could, or keeps less than was promised.
    Warning,
    /// The broker does not start, or does not keep what it promises.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub level: Level,
    /// What was looked at, always by the same name.
    pub check: &'static str,
    /// Of several of a kind, which: a directory, a network interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    pub found: String,
    /// What that does to a broker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// The command that changes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    pub fn new(level: Level, check: &'static str, found: impl Into<String>) -> Finding {
        Finding { level, check, subject: None, found: found.into(), cost: None, fix: None }
    }

    pub fn ok(check: &'static str, found: impl Into<String>) -> Finding {
        Finding::new(Level::Ok, check, found)
    }

    pub fn on(mut self, subject: impl Into<String>) -> Finding {
        self.subject = Some(subject.into());
        self
    }

    pub fn costs(mut self, cost: impl Into<String>) -> Finding {
        self.cost = Some(cost.into());
        self
    }

    pub fn fixed_by(mut self, command: impl Into<String>) -> Finding {
        self.fix = Some(command.into());
        self
    }
}
