//! What one measurement came to, and what it has to be.

/// A figure of every program.
pub struct Figure {
    /// What was measured, with its unit.
    pub name: String,
    /// Digits behind the point.
    pub digits: usize,
    /// By program, in the order of `Programs`; `None` where it was not measured.
    pub values: Vec<Option<f64>>,
    /// The bounds, of which the last program's figure is held against.
    pub bounds: Vec<Bound>,
}

/// The largest value the last program may have.
pub struct Bound {
    /// In words: `must: ≤ 0.25 × tini's`.
    pub words: String,
    /// The number that comes to.
    pub largest: f64,
    /// An aim may be missed.
    pub is_aim: bool,
}

impl Figure {
    /// mak-init's own value.
    pub fn ours(&self) -> Option<f64> {
        self.values.last().copied().flatten()
    }

    /// Whether it is what it must be.
    pub fn holds(&self) -> bool {
        let Some(ours) = self.ours() else { return true };
        self.bounds.iter().filter(|bound| !bound.is_aim).all(|bound| ours <= bound.largest)
    }
}

/// What must hold.
pub fn must(words: impl Into<String>, largest: f64) -> Bound {
    Bound { words: words.into(), largest, is_aim: false }
}

/// What should hold.
pub fn aim(words: impl Into<String>, largest: f64) -> Bound {
    Bound { words: words.into(), largest, is_aim: true }
}

/// The middle of them; `None` of nothing.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
