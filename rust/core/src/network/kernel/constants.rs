//! Mathematical constants and polynomial coefficients of the element-wise functions, by precision.
//!
//! The coefficients are minimax fits made for this file: the linearised problem was solved by
//! weighted least squares on Chebyshev nodes in 60 digits, the weights moved towards the nodes of largest error
//! (Lawson's iteration), and the coefficients then rounded; those of the f32 quotients were moved by a
//! few units until the rounding errors of the whole were smallest. `error` is the fit's largest
//! relative error, before all rounding.

/// A rational approximation, valid up to `end`.
#[derive(Clone, Copy, Debug)]
pub struct Rational<T: 'static> {
    pub above: &'static [T],
    pub below: &'static [T],
    pub end: T,
}

/// The constants of a precision.
pub trait Constants: Sized + 'static {
    /// All bits but the sign.
    const MAGNITUDE: Self;
    /// The bits of the fraction.
    const FRACTION: Self;
    /// 1.5 · 2^(digits − 1): adding it rounds to a whole number, which the lowest bits then hold.
    const ROUNDER: Self;
    /// `ROUNDER` plus the bias of the exponent.
    const BIASED_ROUNDER: Self;
    /// 2^(digits − 1), and the same plus the bias of the exponent.
    const UNIT: Self;
    const BIASED_UNIT: Self;
    /// The smallest normal number, and a factor that makes denormal ones normal.
    const SMALLEST: Self;
    const NORMALISER: Self;
    /// The exponent of `NORMALISER`.
    const NORMALISER_EXPONENT: Self;
    const INFINITY: Self;
    const NAN: Self;
    const HALF: Self;
    const TWO: Self;
    const SQRT_2: Self;
    /// 1/log 2.
    const LOG2_E: Self;
    /// log 2, in two parts: products of the first with an exponent are exact.
    const LN_2: [Self; 2];
    /// Beyond these eˣ is 0 and ∞.
    const EXP_DOMAIN: [Self; 2];
    /// Below this eˣ − 1 is −1.
    const EXPM1_LOW: Self;
    /// Below this eˣ − 1, and tanh x, are x.
    const TINY: Self;
    /// (eʳ − 1 − r)/r² on |r| ≤ log(2)/2.
    const EXP: &'static [Self];
    /// (2 artanh(s)/s − 2)/s² by s², on |s| ≤ (√2 − 1)/(√2 + 1).
    const LN: &'static [Self];
    /// tanh(x)/x as a function of x²; None where a rational function is not accurate enough.
    const TANH: Option<Rational<Self>>;
    /// erf(x)/x as a function of x².
    const ERF: Rational<Self>;
    /// erfc(x) exp(x²) beyond the end of `ERF`, where it is needed.
    const ERFC: Option<Rational<Self>>;
}

impl Constants for f32 {
    const MAGNITUDE: Self = Self::from_bits(0x7fff_ffff);
    const FRACTION: Self = Self::from_bits(0x007f_ffff);
    const ROUNDER: Self = 12_582_912.0;
    const BIASED_ROUNDER: Self = 12_582_912.0 + 127.0;
    const UNIT: Self = 8_388_608.0;
    const BIASED_UNIT: Self = 8_388_608.0 + 127.0;
    const SMALLEST: Self = Self::MIN_POSITIVE;
    const NORMALISER: Self = 8_388_608.0;
    const NORMALISER_EXPONENT: Self = 23.0;
    const INFINITY: Self = Self::INFINITY;
    const NAN: Self = Self::NAN;
    const HALF: Self = 0.5;
    const TWO: Self = 2.0;
    const SQRT_2: Self = std::f32::consts::SQRT_2;
    const LOG2_E: Self = std::f32::consts::LOG2_E;
    const LN_2: [Self; 2] = [0.693_359_4, -2.121_944_4e-4];
    const EXP_DOMAIN: [Self; 2] = [-104.0, 89.0];
    const EXPM1_LOW: Self = -18.0;
    const TINY: Self = 1e-8;
    /// error 1.3·10⁻⁸
    const EXP: &'static [Self] =
        &[4.999_999_7e-1, 1.666_654_3e-1, 4.166_72e-2, 8.366_484e-3, 1.388_251_4e-3];
    /// error 8·10⁻¹⁰
    const LN: &'static [Self] = &[6.666_677_6e-1, 3.997_749_7e-1, 2.987_283_5e-1];
    /// error 2·10⁻⁸
    const TANH: Option<Rational<Self>> = Some(Rational {
        above: &[1.0, 0.133_826_69, 0.003_497_430_8, 2.063_535_8e-5, 1.338_362_1e-8],
        below: &[1.0, 0.467_159_96, 0.025_884_263, 0.000_328_847_27, 7.789_975_6e-7],
        end: 9.02,
    });
    /// error 2·10⁻⁸
    const ERF: Rational<Self> = Rational {
        above: &[
            std::f32::consts::FRAC_2_SQRT_PI,
            0.191_551_4,
            0.052_875_612,
            0.003_808_253,
            0.000_284_697_1,
            2.025_977_7e-6,
        ],
        below: &[1.0, 0.503_090_74, 0.114_560_105, 0.015_055_215, 0.001_170_764_3, 3.783_304_8e-5],
        end: 3.95,
    };
    const ERFC: Option<Rational<Self>> = None;
}

impl Constants for f64 {
    const MAGNITUDE: Self = Self::from_bits(0x7fff_ffff_ffff_ffff);
    const FRACTION: Self = Self::from_bits(0x000f_ffff_ffff_ffff);
    const ROUNDER: Self = 6_755_399_441_055_744.0;
    const BIASED_ROUNDER: Self = 6_755_399_441_055_744.0 + 1023.0;
    const UNIT: Self = 4_503_599_627_370_496.0;
    const BIASED_UNIT: Self = 4_503_599_627_370_496.0 + 1023.0;
    const SMALLEST: Self = Self::MIN_POSITIVE;
    const NORMALISER: Self = 4_503_599_627_370_496.0;
    const NORMALISER_EXPONENT: Self = 52.0;
    const INFINITY: Self = Self::INFINITY;
    const NAN: Self = Self::NAN;
    const HALF: Self = 0.5;
    const TWO: Self = 2.0;
    const SQRT_2: Self = std::f64::consts::SQRT_2;
    const LOG2_E: Self = std::f64::consts::LOG2_E;
    const LN_2: [Self; 2] = [f64::from_bits(0x3fe6_2e42_fee0_0000), 1.908_214_929_270_587_7e-10];
    const EXP_DOMAIN: [Self; 2] = [-746.0, 710.0];
    const EXPM1_LOW: Self = -40.0;
    const TINY: Self = 1e-17;
    /// error 2·10⁻¹⁷
    const EXP: &'static [Self] = &[
        0.500_000_000_000_000_6,
        0.166_666_666_666_665_9,
        0.041_666_666_666_576_45,
        0.008_333_333_333_389_602,
        0.001_388_888_893_161_798_9,
        0.000_198_412_697_172_450_6,
        2.480_150_524_313_57e-5,
        2.755_741_021_353_94e-6,
        2.762_604_148_475_291e-7,
        2.505_267_082_266_944_8e-8,
    ];
    /// error 2·10⁻¹⁶, of a part that is a hundredth of the whole
    const LN: &'static [Self] = &[
        0.666_666_666_665_867_6,
        0.400_000_000_525_462_53,
        0.285_714_170_807_700_5,
        0.222_233_753_301_448_9,
        0.181_235_230_702_681_33,
        0.168_212_538_359_296_53,
    ];
    const TANH: Option<Rational<Self>> = None;
    /// error 8·10⁻¹⁷
    const ERF: Rational<Self> = Rational {
        above: &[
            std::f64::consts::FRAC_2_SQRT_PI,
            0.088_223_398_102_702_55,
            0.038_180_271_289_099_96,
            -0.000_162_101_687_401_597_9,
            0.000_118_810_937_197_340_6,
            -3.086_578_498_494_613_4e-6,
        ],
        below: &[
            1.0,
            0.411_519_284_186_868_73,
            0.071_009_479_167_049_36,
            0.006_183_762_891_698_115,
            0.000_234_048_453_387_567_55,
        ],
        end: 1.0,
    };
    /// error 3·10⁻¹⁶
    const ERFC: Option<Rational<Self>> = Some(Rational {
        above: &[
            1.000_000_149_227_530_6,
            1.682_815_989_704_966_8,
            1.387_264_281_157_765_6,
            0.691_325_392_962_089_6,
            0.218_264_687_362_540_76,
            0.041_731_651_365_800_85,
            0.003_920_684_497_616_627,
        ],
        below: &[
            1.0,
            2.811_196_620_101_536,
            3.559_353_092_035_096_6,
            2.648_702_269_655_349_7,
            1.262_336_776_781_299_2,
            0.390_338_015_094_989_05,
            0.073_967_453_700_894_05,
            0.006_949_231_817_242_002,
        ],
        end: 6.0,
    });
}
