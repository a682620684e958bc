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

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Row(#[serde(with = "super::numbers")] Vec<f64>);

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
