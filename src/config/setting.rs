//! What a setting is: its name, type, which values are valid, its default, whether it changes while the
//! broker runs, and what becomes of it here.

/// Types of values, with Kafka's numbers in DescribeConfigs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Boolean = 1,
    String = 2,
    Int = 3,
    Short = 4,
    Long = 5,
    Double = 6,
    List = 7,
    Class = 8,
    Password = 9,
}

/// Which values of its type a setting may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Valid {
    Any,
    NotEmpty,
    AtLeast(i64),
    Between(i64, i64),
    /// From 0 to 1.
    Fraction,
    /// From 1 to 9, or -1 for the codec's own choice.
    GzipLevel,
    OneOf(&'static [&'static str]),
    /// In capitals or not.
    AnyCase(&'static [&'static str]),
    /// Each entry of a list.
    SomeOf(&'static [&'static str]),
    /// `partition:broker` pairs, or `*`.
    Replicas,
}

/// While the broker runs, a setting of it changes...
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Update {
    /// ...not at all,
    ReadOnly,
    /// ...for one broker,
    PerBroker,
    /// ...for one broker or for all.
    ClusterWide,
}

/// How a value that is valid is put in force; the error says what is allowed.
pub type Put<C> = fn(&mut C, &str) -> Result<(), String>;

/// What becomes of a setting here.
pub enum Standing<C: 'static> {
    Honoured(Put<C>),
    /// Taken and shown; nothing depends on it, for this reason.
    NoEffect(&'static str),
    /// Only the default is allowed, which is what is done: anything else would mislead.
    Refused(&'static str),
}

/// One setting of a `C`.
pub struct Setting<C: 'static> {
    pub name: &'static str,
    pub kind: Kind,
    pub valid: Valid,
    /// `None`: there is none, Kafka's null.
    pub default: Option<&'static str>,
    pub update: Update,
    pub standing: Standing<C>,
    pub doc: &'static str,
    /// What is different from Kafka.
    pub differs: Option<&'static str>,
}

/// A table of settings, one line or two for each: `"name": Kind "default", valid, update, standing,
/// "what it does", "what is different";`.
macro_rules! settings {
    (
        $(#[$meta:meta])* pub const $table:ident for $of:ty;
        $($name:literal: $kind:ident $($default:literal)?, $valid:expr, $update:expr, $standing:expr,
            $doc:literal $(, $differs:literal)?;)*
    ) => {
        $(#[$meta])*
        pub const $table: &[Setting<$of>] = &[$(Setting {
            name: $name,
            kind: $crate::config::setting::Kind::$kind,
            valid: $valid,
            default: $crate::config::setting::settings!(@maybe $($default)?),
            update: $update,
            standing: $standing,
            doc: $doc,
            differs: $crate::config::setting::settings!(@maybe $($differs)?),
        }),*];
    };
    (@maybe) => { None };
    (@maybe $value:literal) => { Some($value) };
}
pub(super) use settings;

/// Reads what [`Setting::check`] has let through.
pub(super) fn read<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "it is too large".to_string())
}

/// [`read`]s into a place.
pub(super) fn put<T: std::str::FromStr>(place: &mut T, text: &str) -> Result<(), String> {
    *place = read(text)?;
    Ok(())
}

/// Entries of a list, without the spaces around them.
pub fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

impl<C> Setting<C> {
    /// Whether a value is of the type and valid; as it is kept.
    ///
    /// # Errors
    /// What is wrong, in Kafka's words.
    pub fn check(&self, text: &str) -> Result<String, String> {
        let text = text.trim();
        if text.is_empty() && self.default.is_none() {
            return Ok(String::new());
        }
        let number = match self.kind {
            Kind::Boolean => match text.to_ascii_lowercase() {
                value if value == "true" || value == "false" => return Ok(value),
                _ => return Err("Expected value to be either true or false".to_string()),
            },
            Kind::Int => text.parse::<i32>().ok().map(i64::from),
            Kind::Short => text.parse::<i16>().ok().map(i64::from),
            Kind::Long => text.parse::<i64>().ok(),
            Kind::Double => {
                let number = text.parse::<f64>().ok().filter(|number| !number.is_nan());
                let number = number.ok_or("Not a number of type DOUBLE")?;
                return self.valid.holds_fraction(number).map(|()| text.to_string());
            }
            Kind::String | Kind::List | Kind::Class | Kind::Password => {
                return self.valid.holds_text(text).map(|()| text.to_string());
            }
        };
        let number = number.ok_or_else(|| format!("Not a number of type {}", self.kind.name()))?;
        self.valid.holds_number(number)?;
        Ok(number.to_string())
    }

    /// Puts a value in force; one that is refused has to be the default.
    ///
    /// # Errors
    /// What is wrong with it, or why it is refused.
    pub fn put(&self, config: &mut C, text: &str) -> Result<(), String> {
        let value = self.check(text)?;
        if value.is_empty() && self.default.is_none() {
            // As if it were not set.
            return Ok(());
        }
        match &self.standing {
            Standing::Honoured(put) => put(config, &value),
            Standing::NoEffect(_) => Ok(()),
            Standing::Refused(why) => match value == self.default.unwrap_or_default() {
                true => Ok(()),
                false => Err(format!("this is not supported: {why}")),
            },
        }
    }

    /// Why a value that is set has no effect, where that is so.
    pub fn in_vain(&self) -> Option<&'static str> {
        match self.standing {
            Standing::Honoured(_) => None,
            Standing::NoEffect(why) | Standing::Refused(why) => Some(why),
        }
    }
}

impl Kind {
    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Boolean => "BOOLEAN",
            Kind::String => "STRING",
            Kind::Int => "INT",
            Kind::Short => "SHORT",
            Kind::Long => "LONG",
            Kind::Double => "DOUBLE",
            Kind::List => "LIST",
            Kind::Class => "CLASS",
            Kind::Password => "PASSWORD",
        }
    }
}

impl Valid {
    fn holds_number(self, number: i64) -> Result<(), String> {
        let (least, most) = match self {
            Valid::AtLeast(least) => (least, i64::MAX),
            Valid::Between(least, most) => (least, most),
            Valid::GzipLevel if number == -1 => return Ok(()),
            Valid::GzipLevel => (1, 9),
            _ => return Ok(()),
        };
        match number {
            number if number < least => Err(format!("Value must be at least {least}")),
            number if number > most => Err(format!("Value must be no more than {most}")),
            _ => Ok(()),
        }
    }

    fn holds_fraction(self, number: f64) -> Result<(), String> {
        match self {
            Valid::Fraction if number < 0.0 => Err("Value must be at least 0".to_string()),
            Valid::Fraction if number > 1.0 => Err("Value must be no more than 1".to_string()),
            _ => Ok(()),
        }
    }

    fn holds_text(self, text: &str) -> Result<(), String> {
        let one_of = |names: &[&str]| format!("String must be one of: {}", names.join(", "));
        match self {
            Valid::NotEmpty if text.is_empty() => Err("String must be non-empty".to_string()),
            Valid::OneOf(names) if !names.contains(&text) => Err(one_of(names)),
            Valid::AnyCase(names) if !names.iter().any(|name| name.eq_ignore_ascii_case(text)) => {
                Err(one_of(names))
            }
            Valid::SomeOf(names) if entries(text).any(|entry| !names.contains(&entry)) => {
                Err(one_of(names))
            }
            Valid::Replicas if text != "*" && !entries(text).all(is_replica) => {
                Err("it must be the literal '*' or a list of replicas in the following format: \
                     [partitionId]:[brokerId],[partitionId]:[brokerId],..."
                    .to_string())
            }
            _ => Ok(()),
        }
    }
}

fn is_replica(text: &str) -> bool {
    let number = |part: &str| part.parse::<u32>().is_ok();
    text.split_once(':').is_some_and(|(partition, broker)| number(partition) && number(broker))
}

impl std::fmt::Display for Valid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Valid::Any => Ok(()),
            Valid::NotEmpty => write!(f, "not empty"),
            Valid::AtLeast(least) => write!(f, "{least} or more"),
            Valid::Between(least, most) if least == most => write!(f, "{least}"),
            Valid::Between(least, most) => write!(f, "{least} to {most}"),
            Valid::Fraction => write!(f, "0 to 1"),
            Valid::GzipLevel => write!(f, "1 to 9, or -1"),
            Valid::OneOf(names) | Valid::AnyCase(names) => write!(f, "{}", names.join(", ")),
            Valid::SomeOf(names) => write!(f, "some of {}", names.join(", ")),
            Valid::Replicas => write!(f, "partition:broker, ... or *"),
        }
    }
}
