//! Nothing is destroyed before somebody has said so.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::anyhow;

use super::{Failure, FAILED, WRONG_USAGE};

/// The answer given beforehand.
#[derive(clap::Args)]
pub struct Yes {
    /// Do it without asking.
    #[arg(long, short = 'y')]
    pub yes: bool,
}

impl Yes {
    /// Asks whether to do `what`, which ends with what is lost.
    ///
    /// # Errors
    /// The answer is no, or there is nobody to ask.
    pub fn confirm(&self, what: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            let error = anyhow!("{what}: there is no terminal to ask on, so this needs --yes");
            return Err(Failure { code: WRONG_USAGE, error });
        }
        let mut line = String::new();
        write!(io::stderr(), "{what}? [y/N] ")?;
        io::stdin().lock().read_line(&mut line)?;
        match is_yes(&line) {
            true => Ok(()),
            false => Err(Failure { code: FAILED, error: anyhow!("nothing was changed") }),
        }
    }
}

fn is_yes(line: &str) -> bool {
    ["y", "yes"].contains(&line.trim().to_lowercase().as_str())
}

/// A few of many names, for a question.
pub fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 5;
    match names.len() {
        0..=SHOWN => names.join(", "),
        all => format!("{} and {} more", names[..SHOWN].join(", "), all - SHOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        assert!(is_yes("y\n") && is_yes(" YES \n"));
        assert!(!is_yes("\n") && !is_yes("n\n") && !is_yes("yess\n"));
    }
}
