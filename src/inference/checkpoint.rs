//! States of stages that a run can be resumed from.
//!
//! A run is a sequence of stages, each of which is a function of the run's configuration alone: which
//! state of it was saved does not matter for the bits that come out. A stage loads what an earlier run
//! left of it, goes on from there, and offers its state now and then; where that is written, and how
//! often, is for the [`Monitor`] to decide.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{InferenceError, Monitor};

/// What an earlier run left of a stage.
///
/// # Errors
/// [`InferenceError::Breakdown`] when it cannot be read.
pub fn load<T: DeserializeOwned>(
    monitor: &mut dyn Monitor,
    stage: &'static str,
) -> Result<Option<T>, InferenceError> {
    let Some(text) = monitor.resume(stage) else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|e| damaged(stage, &e.to_string()))
}

/// Offers the state of a stage; `make` is called only when it is wanted.
pub fn offer<T: Serialize>(
    monitor: &mut dyn Monitor,
    stage: &'static str,
    last: bool,
    make: impl Fn() -> T,
) {
    monitor.keep(stage, last, &mut || {
        // Numbers and lists of them always have a text.
        serde_json::to_string(&make()).unwrap_or_default()
    });
}

/// The result of a stage that is worth keeping only as a whole: that of an earlier run, or computed now.
///
/// # Errors
/// As [`load`], and what `compute` fails with.
pub fn once<T: Serialize + DeserializeOwned>(
    monitor: &mut dyn Monitor,
    stage: &'static str,
    compute: impl FnOnce(&mut dyn Monitor) -> Result<T, InferenceError>,
) -> Result<T, InferenceError> {
    if let Some(known) = load(monitor, stage)? {
        return Ok(known);
    }
    let result = compute(monitor)?;
    offer(monitor, stage, true, || &result);
    Ok(result)
}

/// The error that a stage's state makes no sense.
pub(in crate::inference) fn damaged(stage: &str, why: &str) -> InferenceError {
    InferenceError::Breakdown(format!("the checkpoint of the stage `{stage}` is damaged: {why}"))
}

/// Sequences of numbers that need not be finite: NaN and the infinities are strings.
pub mod numbers {
    use serde::de::{SeqAccess, Visitor};
    use serde::ser::SerializeSeq;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the sequence.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(numbers: &[f64], s: S) -> Result<S::Ok, S::Error> {
        let mut seq = s.serialize_seq(Some(numbers.len()))?;
        for x in numbers {
            if x.is_finite() {
                seq.serialize_element(x)?;
            } else {
                seq.serialize_element(&x.to_string())?;
            }
        }
        seq.end()
    }

    /// Reads it.
    ///
    /// # Errors
    /// Those of the deserializer, and on what is no number.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<f64>, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Number {
            Finite(f64),
            Other(String),
        }
        struct Numbers;
        impl<'de> Visitor<'de> for Numbers {
            type Value = Vec<f64>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of numbers")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<f64>, A::Error> {
                let mut out = Vec::with_capacity(seq.size_hint().unwrap_or(0));
                while let Some(number) = seq.next_element()? {
                    out.push(match number {
                        Number::Finite(x) => x,
                        Number::Other(text) => text.parse().map_err(serde::de::Error::custom)?,
                    });
                }
                Ok(out)
            }
        }
        d.deserialize_seq(Numbers)
    }
}

/// Long lists of numbers: a string of their bytes in base64, little-endian, in single precision (`f4:`) if
/// that holds each of them exactly, else in double (`f8:`).
pub mod packed {
    use base64::Engine;
    use base64::display::Base64Display;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    /// Writes the list.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(numbers: &[f64], s: S) -> Result<S::Ok, S::Error> {
        let single = |x: &f64| *x as f32;
        let exact = numbers.iter().all(|x| f64::from(single(x)).to_bits() == x.to_bits());
        let (kind, bytes): (_, Vec<u8>) = if exact {
            ("f4", numbers.iter().flat_map(|x| single(x).to_le_bytes()).collect())
        } else {
            ("f8", numbers.iter().flat_map(|x| x.to_le_bytes()).collect())
        };
        s.collect_str(&format_args!("{kind}:{}", Base64Display::new(&bytes, &STANDARD)))
    }

    /// Reads it.
    ///
    /// # Errors
    /// Those of the deserializer, and on what is no such string.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<f64>, D::Error> {
        struct Packed;
        impl Visitor<'_> for Packed {
            type Value = Vec<f64>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("packed numbers")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Vec<f64>, E> {
                let unknown = || E::custom("packed numbers begin with `f4:` or `f8:`");
                let (kind, text) = text.split_once(':').ok_or_else(unknown)?;
                let bytes = STANDARD.decode(text).map_err(E::custom)?;
                let cut = || E::custom("packed numbers end within a number");
                match kind {
                    "f4" => match bytes.as_chunks() {
                        (whole, []) => {
                            Ok(whole.iter().map(|x| f32::from_le_bytes(*x).into()).collect())
                        }
                        _ => Err(cut()),
                    },
                    "f8" => match bytes.as_chunks() {
                        (whole, []) => Ok(whole.iter().map(|x| f64::from_le_bytes(*x)).collect()),
                        _ => Err(cut()),
                    },
                    _ => Err(unknown()),
                }
            }
        }
        d.deserialize_str(Packed)
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Row(#[serde(with = "super::numbers")] Vec<f64>);

    #[derive(Debug, Serialize, Deserialize)]
    struct Packed(#[serde(with = "super::packed")] Vec<f64>);

    #[test]
    fn packed_numbers_come_back_with_their_bits_in_as_few_bytes_as_hold_them() {
        let single = vec![0.5, -0.0, f64::from(f32::MAX), f64::from(0.1_f32), f64::INFINITY];
        let double = vec![0.1, 5e-324, f64::NAN];
        for (numbers, size) in [(single, 4), (double, 8), (Vec::new(), 4)] {
            let text = serde_json::to_string(&Packed(numbers.clone())).unwrap();
            assert_eq!(text.len(), 5 + (size * numbers.len()).div_ceil(3) * 4, "{text}");
            let Packed(back) = serde_json::from_str(&text).unwrap();
            let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&back), bits(&numbers), "{text}");
        }
    }

    #[test]
    fn what_is_not_packed_is_refused() {
        for text in
            ["[0.5]", "\"AAAA\"", "\"f2:AAAA\"", "\"f4:AAA\"", "\"f4:AAAA\"", "\"f8:AAAAAA==\""]
        {
            assert!(serde_json::from_str::<Packed>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_number_comes_back_with_its_bits() {
        let numbers = [0.1, -0.0, 5e-324, f64::MAX, 1.0 / 3.0, f64::NEG_INFINITY, f64::INFINITY];
        let text = serde_json::to_string(&Row(numbers.to_vec())).unwrap();
        let Row(back) = serde_json::from_str(&text).unwrap();
        let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&back), bits(&numbers), "{text}");
        let text = serde_json::to_string(&Row(vec![f64::NAN])).unwrap();
        let Row(back) = serde_json::from_str(&text).unwrap();
        assert!(back[0].is_nan());
    }
}
