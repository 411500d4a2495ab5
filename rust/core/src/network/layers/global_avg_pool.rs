//! Global average pooling: the mean of every channel.

use crate::error::Error;
use crate::network::kernel::Real;
use crate::network::layers::avg_pool2d::AvgPool;
use crate::network::layers::spec::{BuiltLayer, LayerSpec};

pub(super) fn build<T: Real>(spec: &mut LayerSpec<'_>) -> Result<BuiltLayer<T>, Error> {
    spec.no_options()?;
    let [image] = spec.inputs()?;
    let [] = spec.tensors()?;
    AvgPool::global(image)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::network::layers::check::{Sketch, check};

    #[test]
    fn pooling_takes_the_mean_of_each_channel() {
        let pooled = Sketch::new(&[2, 1, 3]).then("global_avg_pool", json!({}), &[2, 1, 1]);
        assert_eq!(pooled.outputs(&[1.0, 2.0, 6.0, -1.0, 0.0, 4.0]), [3.0, 1.0]);
    }

    #[test]
    fn derivatives_agree_with_finite_differences() {
        let pooled = Sketch::moving(&[3, 2, 4]).then("global_avg_pool", json!({}), &[3, 1, 1]);
        check(&pooled.then("tanh", json!({}), &[3, 1, 1]));
    }
}
