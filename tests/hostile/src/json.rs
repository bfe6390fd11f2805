// SPDX-License-Identifier: GPL-2.0

//! What a command says.

use serde_json::Value;

/// A command's arguments. The error of each method names the argument.
pub struct Arguments<'a>(pub &'a Value);

impl Arguments<'_> {
    /// The argument, unless it is absent or null.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A number, or `default`.
    pub fn number<T: TryFrom<u64>>(&self, name: &str, default: T) -> Result<T, String> {
        Ok(self.maybe(name)?.unwrap_or(default))
    }

    /// A number, if there is one.
    pub fn maybe<T: TryFrom<u64>>(&self, name: &str) -> Result<Option<T>, String> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let number = value.as_u64().and_then(|number| T::try_from(number).ok());
        number
            .map(Some)
            .ok_or_else(|| format!("{name} is not a fitting number: {value}"))
    }

    /// Seconds, or `default`.
    pub fn seconds(&self, name: &str, default: f64) -> Result<f64, String> {
        let Some(value) = self.get(name) else {
            return Ok(default);
        };
        let seconds = value
            .as_f64()
            .filter(|seconds| (0.0..1e6).contains(seconds));
        seconds.ok_or_else(|| format!("{name} is no time: {value}"))
    }

    /// Whether something is so; it is not by default.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// A text.
    pub fn text(&self, name: &str) -> Result<&str, String> {
        self.get(name)
            .and_then(Value::as_str)
            .ok_or_else(|| format!("{name} is missing"))
    }

    /// Several values; none when there is no such argument.
    pub fn list(&self, name: &str) -> &[Value] {
        self.get(name)
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    /// Bytes, written as hexadecimal digits.
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>, String> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(value) => bytes(value).ok_or_else(|| format!("{name} is not hexadecimal")),
        }
    }
}

/// Bytes from their hexadecimal digits.
pub fn bytes(value: &Value) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let digits = value.as_str()?.as_bytes();
    if digits.len() % 2 != 0 {
        return None;
    }
    let pairs = digits.chunks_exact(2);
    pairs
        .map(|pair| Some((digit(pair[0])? << 4) | digit(pair[1])?))
        .collect()
}

/// The hexadecimal digits of bytes.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble & 15)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(*byte)])
        .collect()
}
