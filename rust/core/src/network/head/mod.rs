//! Losses of network outputs, in f64 from the outputs onward.
