//! Statistics of a few repeated measurements; pure, so that they can be trusted.

/// What is worth saying about repeated measurements of one thing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// The middle one: a single disturbance does not move it.
    pub(super) median: f64,
    /// The fastest: closest to the cost without disturbance.
    pub(super) min: f64,
    /// The slowest.
    pub(super) max: f64,
}

impl Sample {
    /// The summary of `values`; nothing when there are none, or one is not a number.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        if sorted.iter().any(|value| !value.is_finite()) {
            return None;
        }
        sorted.sort_by(f64::total_cmp);
        Some(Self { median: median(&sorted)?, min: *sorted.first()?, max: *sorted.last()? })
    }

    /// How many times `peer` this is, by the medians; nothing when the peer took no time.
    pub(super) fn ratio_to(self, peer: Self) -> Option<f64> {
        (peer.median > 0.0).then(|| self.median / peer.median)
    }
}

/// How many times its peer each value is, in the middle: a disturbance of one round changes both of its sides. Nothing
/// when there are no values, not as many peers, or a peer took no time.
pub(super) fn paired_ratio(values: &[f64], peers: &[f64]) -> Option<f64> {
    if values.len() != peers.len() || peers.iter().any(|peer| *peer <= 0.0) {
        return None;
    }
    let ratios: Vec<f64> = values.iter().zip(peers).map(|(value, peer)| value / peer).collect();
    Sample::of(&ratios).map(|it| it.median)
}

/// The middle of sorted values; the mean of the two middle ones when their number is even.
fn median(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*sorted.get(sorted.len() / 2 - 1)?, upper))
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the values are chosen so that the arithmetic is exact")]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_a_disturbance_and_the_order() {
        let sample = Sample::of(&[3.0, 1.0, 900.0, 2.0, 4.0]).unwrap();
        assert_eq!(sample, Sample { median: 3.0, min: 1.0, max: 900.0 });
        assert_eq!(Sample::of(&[4.0, 1.0, 3.0, 2.0]).unwrap().median, 2.5);
        assert_eq!(Sample::of(&[7.0]).unwrap().median, 7.0);
    }

    #[test]
    fn nothing_measured_says_nothing() {
        assert_eq!(Sample::of(&[]), None);
        assert_eq!(Sample::of(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn a_paired_ratio_compares_what_ran_together() {
        assert_eq!(paired_ratio(&[2.0, 40.0, 6.0], &[1.0, 10.0, 2.0]), Some(3.0));
        assert_eq!(paired_ratio(&[2.0], &[1.0, 1.0]), None);
        assert_eq!(paired_ratio(&[2.0], &[0.0]), None);
        assert_eq!(paired_ratio(&[], &[]), None);
    }

    #[test]
    fn a_ratio_needs_a_peer_that_took_time() {
        let sample = Sample::of(&[6.0]).unwrap();
        assert_eq!(sample.ratio_to(Sample::of(&[2.0]).unwrap()), Some(3.0));
        assert_eq!(sample.ratio_to(Sample::of(&[0.0]).unwrap()), None);
    }
}
