//! The instruction set, detected at run time.

mod compiled;
mod kind;

use std::sync::LazyLock;

pub(crate) use kind::Kind;

/// An instruction set that this machine has. A value is proof of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Kind);

static AVAILABLE: LazyLock<Vec<Isa>> = LazyLock::new(|| {
    let mut kinds = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq");
        kinds.extend((avx2 && avx512).then_some(Kind::Avx512));
        kinds.extend(avx2.then_some(Kind::Avx2));
    }
    #[cfg(target_arch = "aarch64")]
    kinds.push(Kind::Neon);
    kinds.push(Kind::Plain);
    kinds.into_iter().map(Isa).collect()
});

impl Isa {
    /// The baseline that every machine of this architecture has.
    pub const PLAIN: Self = Self(Kind::Plain);

    /// The best instruction set of this machine.
    #[must_use]
    pub fn detect() -> Self {
        AVAILABLE[0]
    }

    /// All instruction sets of this machine, best first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        AVAILABLE.clone()
    }

    /// Runs a closure compiled for this instruction set, so that its loops are vectorised. A `mul_add`
    /// in it is a function call on machines without a fused multiply-add.
    #[inline]
    pub fn run<R>(self, work: impl FnOnce() -> R) -> R {
        compiled::run(self.0, work)
    }

    /// Whether a `mul_add` in such a closure is one instruction.
    #[must_use]
    pub fn fuses(self) -> bool {
        self.0 != Kind::Plain
    }

    pub(crate) fn kind(self) -> Kind {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Isa;

    #[test]
    fn the_best_comes_first_and_the_plain_one_last() {
        let available = Isa::available();
        assert_eq!(available.first(), Some(&Isa::detect()));
        assert_eq!(available.last(), Some(&Isa::PLAIN));
    }

    #[test]
    fn every_one_runs_the_same_loop() {
        for isa in Isa::available() {
            assert_eq!(isa.run(|| (0..100_u32).map(|i| i * i).sum::<u32>()), 328_350);
        }
    }
}
