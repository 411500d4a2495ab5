//! The instruction set, found at run time.

mod compiled;
mod kind;

use std::sync::LazyLock;

pub(crate) use kind::Kind;

/// An instruction set that this machine has: whoever holds one may use it.
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
    /// No more than what every machine of this architecture has.
    pub const PLAIN: Self = Self(Kind::Plain);

    /// The best one that this machine has.
    #[must_use]
    pub fn detect() -> Self {
        AVAILABLE[0]
    }

    /// All that this machine has, the best one first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        AVAILABLE.clone()
    }

    /// Runs a loop compiled for this instruction set: the compiler makes vector instructions of it.
    /// A `mul_add` in it would be a call to a function on machines that have no such instruction.
    #[inline]
    pub fn run<R>(self, work: impl FnOnce() -> R) -> R {
        compiled::run(self.0, work)
    }

    /// Whether a `mul_add` in such a loop is one instruction.
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
