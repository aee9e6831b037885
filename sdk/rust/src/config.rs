use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::{Document, Kind, Value};

/// What a filter is configured with: a JSON object.
pub struct Config {
    pub(crate) text: Vec<u8>,
}

impl Config {
    /// The object as it is.
    pub fn bytes(&self) -> &[u8] {
        &self.text
    }

    /// The setting at a path, as [`Document`] has paths.
    pub fn get(&self, path: &str) -> Option<Value> {
        Document::new(&self.text).get(path).filter(|v| v.kind != Kind::Null)
    }

    /// Makes the struct that [`crate::config!`] declared.
    pub fn parse<T: Parsed>(&self) -> Result<T, String> {
        T::parse(self)
    }

    /// The names of the settings that are there.
    pub fn names(&self) -> Vec<String> {
        names(&self.text)
    }
}

/// A struct that [`crate::config!`] declared.
pub trait Parsed: Sized {
    /// Reads it. The error names all that is wrong.
    fn parse(config: &Config) -> Result<Self, String>;
}

/// A type that a setting may have.
pub trait Setting: Sized {
    /// What it is called, as in "a string".
    const NAME: &'static str;
    /// Reads it.
    fn from_value(v: &Value) -> Option<Self>;
    /// What a setting without a default is if it is left out.
    fn missing() -> Option<Self> {
        None
    }
}

impl Setting for String {
    const NAME: &'static str = "a string";
    fn from_value(v: &Value) -> Option<Self> {
        (v.kind == Kind::String).then(|| v.text.clone())
    }
}

impl Setting for bool {
    const NAME: &'static str = "true or false";
    fn from_value(v: &Value) -> Option<Self> {
        (v.kind == Kind::Bool).then_some(v.text == "true")
    }
}

macro_rules! numbers {
    ($($t:ty),*) => {$(
        impl Setting for $t {
            const NAME: &'static str = "a number in range";
            fn from_value(v: &Value) -> Option<Self> {
                if v.kind == Kind::Number { v.text.parse().ok() } else { None }
            }
        }
    )*};
}

numbers!(u8, u16, u32, u64, usize, i8, i16, i32, i64, isize, f32, f64);

impl<T: Setting> Setting for Option<T> {
    const NAME: &'static str = T::NAME;
    fn from_value(v: &Value) -> Option<Self> {
        T::from_value(v).map(Some)
    }
    fn missing() -> Option<Self> {
        Some(None)
    }
}

impl<T: Setting> Setting for Vec<T> {
    const NAME: &'static str = "a list";
    fn from_value(v: &Value) -> Option<Self> {
        if v.kind != Kind::Json || !v.text.starts_with('[') {
            return None;
        }
        let d = Document::new(v.text.as_bytes());
        (0..).map_while(|i: usize| d.get(&i.to_string())).map(|v| T::from_value(&v)).collect()
    }
    fn missing() -> Option<Self> {
        Some(Vec::new())
    }
}

/// Reads one setting; what is wrong is added to errors.
#[doc(hidden)]
pub fn setting<T: Setting>(c: &Config, name: &str, default: Option<T>, errors: &mut Vec<String>) -> Option<T> {
    let Some(v) = c.get(name) else {
        let d = default.or_else(T::missing);
        if d.is_none() {
            errors.push([name, " is required"].concat());
        }
        return d;
    };
    let out = T::from_value(&v);
    if out.is_none() {
        errors.push([name, ": ", &v.text, " is not ", T::NAME].concat());
    }
    out
}

/// Adds the settings that no field takes to errors.
#[doc(hidden)]
pub fn unknown(c: &Config, known: &[&str], errors: &mut Vec<String>) {
    for name in c.names() {
        if !known.contains(&name.as_str()) {
            errors.push(["there is no ", &name, "; known are ", &known.join(", ")].concat());
        }
    }
}

/// The names of the members of an object, which the gateway made and is JSON.
fn names(object: &[u8]) -> Vec<String> {
    let mut out = Vec::new();
    let (mut depth, mut in_text, mut escaped, mut key, mut start) = (0, false, false, false, 0);
    for (i, c) in object.iter().enumerate() {
        if in_text {
            match c {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    in_text = false;
                    if depth == 1 && key {
                        out.push(String::from_utf8_lossy(&object[start..i]).into_owned());
                    }
                }
                _ => {}
            }
            continue;
        }
        match c {
            b'"' => (in_text, start) = (true, i + 1),
            b'{' | b'[' => {
                depth += 1;
                key = *c == b'{';
            }
            b'}' | b']' => depth -= 1,
            b',' => key = depth == 1,
            b':' => key = false,
            _ => {}
        }
    }
    out
}

/// Declares what a filter is configured with: a struct whose fields are settings, with
/// a default behind `=`. Its comments become the descriptions in the module's schema,
/// which `headgate plugin build` makes from the source. Settings that are not fields
/// are refused, and all that is wrong is reported at once.
#[macro_export]
macro_rules! config {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty $(= $default:expr)?),* $(,)?
    }) => {
        $(#[$meta])*
        $vis struct $name {
            $($(#[$field_meta])* $field_vis $field: $type),*
        }

        impl $crate::serve::Parsed for $name {
            fn parse(config: &$crate::Config) -> ::core::result::Result<Self, $crate::serve::String> {
                let mut errors = $crate::serve::Vec::new();
                $(let $field = $crate::serve::setting::<$type>(
                    config, stringify!($field), None$(.or(Some(<$type>::from($default))))?, &mut errors,
                );)*
                $crate::serve::unknown(config, &[$(stringify!($field)),*], &mut errors);
                if errors.is_empty() {
                    Ok($name { $($field: $field.unwrap()),* })
                } else {
                    Err(errors.join("\n"))
                }
            }
        }
    };
}
