//! Any bytes are a data file whose arrays are as long as their shapes say, or they are errors.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ppl::data::{DataSet, Format};

fuzz_target!(|bytes: &[u8]| {
    for format in [None, Some(Format::Json), Some(Format::Csv)] {
        match DataSet::from_bytes("data", format, bytes) {
            Ok(data) => {
                for (_, array) in data.iter() {
                    assert_eq!(array.values.len(), array.shape.iter().product::<usize>());
                }
            }
            Err(errors) => {
                assert!(!errors.is_empty());
                errors.iter().for_each(|e| assert!(!e.to_string().is_empty()));
            }
        }
    }
});
