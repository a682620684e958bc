//! A device that is not there, or fails: dfdx's errors and panics in words.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::inference::InferenceError;

/// Whether this thread can use an NVIDIA GPU.
///
/// # Errors
/// Why not, in one line.
#[cfg(feature = "cuda")]
pub fn gpu() -> Result<(), &'static str> {
    super::CUDA.with(|cuda| {
        if cuda.get().is_some() {
            return Ok(());
        }
        let built = catch_unwind(|| dfdx::prelude::Cuda::try_build(0, 0));
        match built {
            Ok(Ok(device)) => {
                let _ = cuda.set(std::mem::ManuallyDrop::new(device));
                Ok(())
            }
            Ok(Err(error)) => {
                Err(failure(&format!("{error:?}")).unwrap_or("the GPU cannot be used"))
            }
            // cudarc unwraps what the driver says first.
            Err(panic) => {
                let text = panic.downcast_ref::<String>();
                Err(text
                    .and_then(|text| failure(text))
                    .unwrap_or("the NVIDIA driver cannot be used"))
            }
        }
    })
}

/// Runs `work`, which uses a device, and makes an error of the device's failing in it.
///
/// # Errors
/// What `work` fails with, and [`InferenceError::Device`].
pub(in crate::inference) fn guarded<T>(
    work: impl FnOnce() -> Result<T, InferenceError>,
) -> Result<T, InferenceError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            match text.and_then(failure) {
                Some(why) => Err(InferenceError::Device(why.into())),
                None => resume_unwind(panic),
            }
        }
    }
}

/// Whether a panic is a device's failing, which becomes an error.
#[must_use]
pub fn is_failure(panic: &str) -> bool {
    failure(panic).is_some()
}

/// What a panic says of a failing device, if it is of one.
fn failure(panic: &str) -> Option<&'static str> {
    let kinds = [
        ("CUDA_ERROR_OUT_OF_MEMORY", "the GPU is out of memory; use fewer --grad-samples"),
        // What the program answers itself where it finds no driver (build/cuda_lazy.c).
        ("CUDA_ERROR_STUB_LIBRARY", "there is no NVIDIA driver"),
        ("CUDA_ERROR_NO_DEVICE", "there is no NVIDIA GPU"),
        ("CUDA_ERROR_INVALID_DEVICE", "there is no NVIDIA GPU"),
        ("CUDA_ERROR_NO_BINARY_FOR_GPU", WRONG_ARCHITECTURE),
        ("CUDA_ERROR_INVALID_PTX", WRONG_ARCHITECTURE),
        ("CUDA_ERROR_UNSUPPORTED_PTX_VERSION", WRONG_ARCHITECTURE),
        ("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "the NVIDIA driver does not fit its library"),
        ("CUDA_ERROR_", "the GPU failed"),
        (
            "CUBLAS_STATUS_NOT_INITIALIZED",
            "NVIDIA's cuBLAS is not there or does not start (docs/cuda.md)",
        ),
        ("CUBLAS_STATUS_ALLOC_FAILED", "the GPU is out of memory; use fewer --grad-samples"),
        ("CUBLAS_STATUS_ARCH_MISMATCH", WRONG_ARCHITECTURE),
        ("CUBLAS_STATUS_", "the GPU's matrix library failed"),
    ];
    kinds.iter().find(|(name, _)| panic.contains(name)).map(|(_, why)| *why)
}

/// Kernels are compiled for one architecture and later ones.
const WRONG_ARCHITECTURE: &str = "this build is for a newer GPU or driver (docs/cuda.md says how to \
    build for another)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_the_device_are_errors_and_bugs_stay_panics() {
        // As dfdx says it: an `unwrap` of its error.
        let text = "called `Result::unwrap()` on an `Err` value: Driver(DriverError(CUDA_ERROR_OUT_OF_MEMORY, \
                    \"out of memory\"))";
        let run = |panic: &'static str| {
            let work =
                || -> Result<(), InferenceError> { resume_unwind(Box::new(panic.to_owned())) };
            catch_unwind(AssertUnwindSafe(|| guarded(work)))
        };
        let error = run(text).unwrap().unwrap_err().to_string();
        assert!(error.starts_with("--device: the GPU is out of memory"), "{error}");
        let error = run("device failure: Driver(DriverError(CUDA_ERROR_NO_DEVICE, \"\"))");
        assert_eq!(error.unwrap().unwrap_err().to_string(), "--device: there is no NVIDIA GPU");
        assert!(run("bug in ppl: index out of bounds").is_err());
    }
}
