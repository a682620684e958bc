//! Trainable tensors on a device, with dfdx's own Adam.

use dfdx::prelude::{AdamConfig, HasShape, Momentum, SgdConfig, Tensor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Buffer, On, Place, add_to, done, tensor_of, zeros};
use crate::inference::adam::Adam;
use crate::inference::backend::Leaf;
use crate::inference::tape::{Element, Grads};

/// A trainable tensor with Adam's moments, all on the device.
pub struct DeviceLeaf<E: Element, D: Place<E>> {
    value: Tensor<(usize,), E, D>,
    moments: [Buffer<E, D>; 2],
}

impl<E: Element, D: Place<E>> Clone for DeviceLeaf<E, D> {
    fn clone(&self) -> Self {
        DeviceLeaf { value: self.value.clone(), moments: self.moments.clone() }
    }
}

impl<E: Element, D: Place<E>> std::fmt::Debug for DeviceLeaf<E, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeviceLeaf{:?}", self.value.shape())
    }
}

impl<E: Element, D: Place<E>> Leaf<On<E, D>> for DeviceLeaf<E, D> {
    type Sum = DeviceSum<E, D>;

    fn new(values: Vec<E>) -> Self {
        let (dev, n) = (D::current(), values.len());
        let moments = [zeros::<E, D>(&dev, n), zeros::<E, D>(&dev, n)];
        DeviceLeaf { value: dev.tensor_from_vec(values, (n,)), moments }
    }

    fn tensor(&self) -> &Tensor<(usize,), E, D> {
        &self.value
    }

    fn size(&self) -> usize {
        self.value.shape().0
    }

    fn values(&self) -> Vec<E> {
        self.value.as_vec()
    }

    fn set(&mut self, values: &[E]) {
        self.value.copy_from(values);
    }

    fn moments(&self) -> [Vec<E>; 2] {
        let dev = D::current();
        self.moments.each_ref().map(|m| tensor_of::<E, D>(&dev, m, self.size()).as_vec())
    }

    fn set_moments(&mut self, moments: [&[E]; 2]) {
        let dev = D::current();
        self.moments = moments.map(|numbers| {
            let mut buffer = zeros::<E, D>(&dev, numbers.len());
            let tensor = dev.tensor_from_vec(numbers.to_vec(), (numbers.len(),));
            done(add_to(&mut buffer, tensor));
            buffer
        });
    }

    fn gradient(&self, gradients: &mut Grads<On<E, D>>) -> Vec<E> {
        done(gradients.try_alloc_for(&self.value));
        gradients.get(&self.value).as_vec()
    }

    fn step(
        &mut self,
        adam: &Adam,
        (low, high): (f64, f64),
        gradients: &mut Grads<On<E, D>>,
    ) -> Option<()> {
        let (dev, n) = (D::current(), self.size());
        let gradient = gradients.get_or_alloc_mut(&self.value).ok()?;
        if adam.shorten != 1.0 {
            let config = SgdConfig {
                lr: 0.0,
                momentum: Some(Momentum::Classic(adam.shorten)),
                weight_decay: None,
            };
            let mut scratch: Tensor<(usize,), E, D> = dev.zeros_like(&(n,));
            done(config.try_update(&mut scratch, gradient, &zeros::<E, D>(&dev, n)));
        }
        let config =
            AdamConfig { lr: adam.rate, betas: adam.betas, eps: adam.epsilon, weight_decay: None };
        let [first, second] = &mut self.moments;
        done(config.try_update(adam.steps, &mut self.value, first, second, gradient));
        if low > f64::NEG_INFINITY || high < f64::INFINITY {
            let within = self.value.clone().clamp(low, high);
            // Keeps the tensor's identity, by which gradients find it.
            self.value.axpy(0.0, &within, 1.0);
        }
        Some(())
    }

    fn add_to(&self, sum: Option<&mut DeviceSum<E, D>>, decay: f64) -> Option<DeviceSum<E, D>> {
        let Some(DeviceSum(sum)) = sum else { return Some(DeviceSum(self.value.clone())) };
        sum.axpy(decay, &self.value, 1.0);
        None
    }

    fn set_mean(&mut self, sum: &DeviceSum<E, D>, weight: f64) {
        self.value.axpy(0.0, &sum.0, weight.recip());
    }
}

/// A sum of values on the device.
pub struct DeviceSum<E: Element, D: Place<E>>(Tensor<(usize,), E, D>);

impl<E: Element, D: Place<E>> Clone for DeviceSum<E, D> {
    fn clone(&self) -> Self {
        DeviceSum(self.0.clone())
    }
}

impl<E: Element, D: Place<E>> std::fmt::Debug for DeviceSum<E, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeviceSum{:?}", self.0.shape())
    }
}

impl<E: Element, D: Place<E>> Serialize for DeviceSum<E, D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.as_vec().iter().map(|x| x.f64()))
    }
}

impl<'de, E: Element, D: Place<E>> Deserialize<'de> for DeviceSum<E, D> {
    fn deserialize<S: Deserializer<'de>>(deserializer: S) -> Result<Self, S::Error> {
        let numbers: Vec<E> =
            Vec::<f64>::deserialize(deserializer)?.into_iter().map(E::of).collect();
        let n = numbers.len();
        Ok(DeviceSum(D::current().tensor_from_vec(numbers, (n,))))
    }
}
