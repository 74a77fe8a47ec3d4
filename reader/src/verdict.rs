//! Verdicts: the rows of the table in spec 9.1, by name.

/// What a slot turned out to be; the rows of the table in 9.1.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Verdict {
    /// The medium refuses to give it.
    Unreadable,
    /// The file ends before it.
    Absent,
    /// Part of a live frame that began earlier.
    Inner,
    /// Never written.
    Blank,
    /// Noise, or a frame whose body breaks a rule.
    Damaged,
    /// Written by a later version.
    Newer,
    /// Of another recording.
    Foreign,
    /// A whole header in a place that is not its own.
    Misplaced,
    /// A whole header, and a payload that is not the one it vouches for.
    Torn,
    /// A whole frame of ours.
    Live,
    /// A superblock, or in no area.
    Outside,
}

impl Verdict {
    /// Every verdict, in the order of the table.
    pub const ALL: [Self; 11] = [
        Self::Unreadable,
        Self::Absent,
        Self::Inner,
        Self::Blank,
        Self::Damaged,
        Self::Newer,
        Self::Foreign,
        Self::Misplaced,
        Self::Torn,
        Self::Live,
        Self::Outside,
    ];

    /// Its name in the spec.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Absent => "absent",
            Self::Inner => "inner",
            Self::Blank => "blank",
            Self::Damaged => "damaged",
            Self::Newer => "newer",
            Self::Foreign => "foreign",
            Self::Misplaced => "misplaced",
            Self::Torn => "torn",
            Self::Live => "live",
            Self::Outside => "outside",
        }
    }

    /// Whether it is worth telling where it lies.
    #[must_use]
    pub const fn is_damage(self) -> bool {
        !matches!(self, Self::Inner | Self::Blank | Self::Live | Self::Outside)
    }
}
