//! Element-wise functions, in place.

use super::isa::Isa;
use super::real::Real;

macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident = $rule:expr;)*) => {$(
        $(#[$doc])*
        pub fn $name<T: Real>(isa: Isa, values: &mut [T]) {
            let rule: fn(f64) -> f64 = $rule;
            isa.run(|| values.iter_mut().for_each(|x| *x = T::narrow(rule(x.widen()))));
        }
    )*};
}

functions! {
    /// tanh x.
    tanh = libm::tanh;
    /// eˣ.
    exp = libm::exp;
    /// eˣ − 1.
    expm1 = libm::expm1;
    /// log x.
    ln = libm::log;
    /// 1/(1 + e⁻ˣ).
    sigmoid = |x| 1.0 / (1.0 + libm::exp(-x));
    /// erf x.
    erf = libm::erf;
    /// log(1 + eˣ).
    softplus = |x| x.max(0.0) + libm::log1p(libm::exp(-x.abs()));
}
