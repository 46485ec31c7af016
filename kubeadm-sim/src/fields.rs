//! Strict reading of a configuration object: every field is known and of its kind, or the complaint names
//! its path.

use std::{fmt::Display, str::FromStr};

use serde_json::{Map, Value};

use crate::documents::ConfigError;

/// The fields of one object.
pub(crate) struct Fields<'a> {
    /// Where it is in the document, with a dot behind it unless it is the document.
    at: String,
    map: Option<&'a Map<String, Value>>,
}

impl<'a> Fields<'a> {
    /// The fields of `value`, which stands at `at` and may have those in `known`.
    ///
    /// # Errors
    /// Not an object, or a field that is not known.
    pub(crate) fn new(at: &str, value: &'a Value, known: &[&str]) -> Result<Self, ConfigError> {
        let prefix = if at.is_empty() { String::new() } else { format!("{at}.") };
        let Some(map) = value.as_object() else {
            return match value {
                Value::Null => Ok(Self { at: prefix, map: None }),
                _ => Err(ConfigError::invalid(at, "expected an object with fields")),
            };
        };
        if let Some(unknown) = map.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(ConfigError::invalid(
                format!("{prefix}{unknown}"),
                format!("unknown field; the fields here are {}", known.join(", ")),
            ));
        }
        Ok(Self { at: prefix, map: Some(map) })
    }

    /// A field that is there and not null.
    pub(crate) fn value(&self, key: &str) -> Option<&'a Value> {
        self.map.and_then(|map| map.get(key)).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &str, expected: &str) -> ConfigError {
        ConfigError::invalid(format!("{}{key}", self.at), format!("expected {expected}"))
    }

    /// A text that is not empty.
    pub(crate) fn text(&self, key: &str) -> Result<Option<String>, ConfigError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(_) => Err(self.wrong(key, "a string")),
        }
    }

    /// A text that must be there.
    pub(crate) fn required(&self, key: &str) -> Result<String, ConfigError> {
        self.text(key)?.ok_or_else(|| self.wrong(key, "a value: it is required"))
    }

    /// Sets `slot` to a text that is given.
    pub(crate) fn set(&self, slot: &mut String, key: &str) -> Result<(), ConfigError> {
        if let Some(text) = self.text(key)? {
            *slot = text;
        }
        Ok(())
    }

    /// `text`, the value of `key`, as what it stands for.
    pub(crate) fn parsed<T>(&self, key: &str, text: &str, what: &str) -> Result<T, ConfigError>
    where
        T: FromStr,
        T::Err: Display,
    {
        text.parse().map_err(|e| {
            ConfigError::invalid(format!("{}{key}", self.at), format!("{text:?} is not {what}: {e}"))
        })
    }

    /// A bool.
    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Bool(on)) => Ok(Some(*on)),
            Some(_) => Err(self.wrong(key, "true or false")),
        }
    }

    /// A port; 0 is none.
    pub(crate) fn port(&self, key: &str) -> Result<Option<u16>, ConfigError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let port = value.as_u64().and_then(|number| u16::try_from(number).ok());
        port.map(|port| Some(port).filter(|port| *port != 0)).ok_or_else(|| self.wrong(key, "a port"))
    }

    /// A list of texts.
    pub(crate) fn list(&self, key: &str) -> Result<Vec<String>, ConfigError> {
        let Some(value) = self.value(key) else { return Ok(Vec::new()) };
        let wrong = || self.wrong(key, "a list of strings");
        let items = value.as_array().ok_or_else(wrong)?;
        items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
    }

    /// A map of texts, by name.
    pub(crate) fn map(&self, key: &str) -> Result<Vec<(String, String)>, ConfigError> {
        let Some(value) = self.value(key) else { return Ok(Vec::new()) };
        let wrong = || self.wrong(key, "a map of strings to strings (quote numbers)");
        let map = value.as_object().ok_or_else(wrong)?;
        map.iter()
            .map(|(name, value)| Ok((name.clone(), value.as_str().ok_or_else(wrong)?.to_owned())))
            .collect()
    }

    /// A map of bools, by name.
    pub(crate) fn flags(&self, key: &str) -> Result<Vec<(String, bool)>, ConfigError> {
        let Some(value) = self.value(key) else { return Ok(Vec::new()) };
        let wrong = || self.wrong(key, "a map of names to true or false");
        let map = value.as_object().ok_or_else(wrong)?;
        map.iter().map(|(name, value)| Ok((name.clone(), value.as_bool().ok_or_else(wrong)?))).collect()
    }

    /// An object with fields of its own.
    pub(crate) fn object(&self, key: &str, known: &[&str]) -> Result<Option<Fields<'a>>, ConfigError> {
        self.value(key).map(|value| Fields::new(&format!("{}{key}", self.at), value, known)).transpose()
    }

    /// A list of objects.
    pub(crate) fn objects(&self, key: &str, known: &[&str]) -> Result<Vec<Fields<'a>>, ConfigError> {
        let Some(value) = self.value(key) else { return Ok(Vec::new()) };
        let items = value.as_array().ok_or_else(|| self.wrong(key, "a list of objects"))?;
        let at = |index: usize| format!("{}{key}[{index}]", self.at);
        items.iter().enumerate().map(|(index, item)| Fields::new(&at(index), item, known)).collect()
    }
}
