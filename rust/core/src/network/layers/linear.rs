//! Linear layer: y = W x + b.

use crate::error::{Error, require};
use crate::network::kernel::{GatherTable, Real};
use crate::network::layers::product::Product;
use crate::network::layers::spec::{BuiltLayer, LayerSpec};
use crate::network::shape::Shape;

pub(super) fn build<T: Real>(spec: &mut LayerSpec<'_>) -> Result<BuiltLayer<T>, Error> {
    spec.no_options()?;
    let [input] = spec.inputs()?;
    let [weight, bias] = spec.tensors()?;
    let Some(weight) = weight else {
        return Err(Error::Invalid("got no weight; a linear layer needs one".into()));
    };
    require!(weight.shape.len() == 2, "got a weight of shape {:?}; pass (out, in)", weight.shape);
    let (rows, inner) = (weight.shape[0], weight.shape[1]);
    require!(
        input == Shape { channels: inner, height: 1, width: 1 },
        "got inputs of shape {input:?} for a weight of shape {:?}; pass {inner} flat features",
        weight.shape
    );
    if let Some(bias) = &bias {
        bias.expect("bias", &[rows])?;
    }
    let layer = Product::new(spec, &weight, bias.as_ref(), GatherTable::identity(), 1)?;
    Ok(BuiltLayer { layer: Box::new(layer), shape: Shape::new(rows, 1, 1)? })
}
