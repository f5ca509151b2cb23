//! Samples of a system: one for each look, and which of them are kept.
//!
//! All from ten minutes before an incident to ten minutes after it stay as they are; of others one a
//! minute does, for a week. It is decided once for each sample, when it is old enough that no incident
//! can still be found that it would be of, so that a check looks at no more than a few of them.
//!
//! A sample is long. What is asked of many at a time stands beside it in short, as its figures, in an
//! index of its own, so that no sample is read for it. What they are, who looks and who asks agree on.

use crate::{
    SystemId,
    clock::{self, parse_time},
    engine::{Engine, Result},
};
use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, Row, Transaction, params};

/// What belongs to an incident before it begins, and after it ends.
const AROUND: SignedDuration = SignedDuration::from_mins(10);
/// A ticket begins when it was first seen, and is a ticket after its grace only.
const UNDECIDED: SignedDuration = SignedDuration::from_mins(15);
/// Of what lasts longer, this is kept whole, and its end; and each session on it.
const LONGEST: SignedDuration = SignedDuration::from_hours(2);
/// For so long one a minute is kept where there was no incident.
const QUIET: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Samples kept of one system, whatever happened: eleven hours of incidents at one a second.
const MOST: i64 = 40_000;
/// So many are decided on in one check.
const AT_ONCE: i64 = 32;
/// So many that are older than [`QUIET`] are looked at once a minute.
const AT_ONCE_OLD: i64 = 256;

/// One stored look at the cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub id: i64,
    pub at: Option<Timestamp>,
    /// JSON of a cluster snapshot.
    pub snapshot: String,
}

/// A look to be stored.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewSample {
    /// JSON of a cluster snapshot.
    pub snapshot: String,
    /// What is asked of many at a time. None: it is read out of the snapshot.
    pub figures: Option<String>,
}

/// What one of many samples says in short.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleFigures {
    pub at: Option<Timestamp>,
    pub figures: Option<String>,
    /// The whole of it, where it has no figures.
    pub snapshot: Option<String>,
}

pub(crate) fn from_row(r: &Row<'_>) -> rusqlite::Result<Sample> {
    Ok(Sample {
        id: r.get(0)?,
        at: parse_time(&r.get::<_, String>(1)?),
        snapshot: r.get(2)?,
    })
}

/// Stores a sample, and takes away those that need not be kept any more.
pub(crate) fn add(tx: &Transaction<'_>, system: &SystemId, sample: &NewSample) -> Result<()> {
    add_at(tx, system, sample, clock::wall())
}

fn add_at(
    tx: &Transaction<'_>,
    system: &SystemId,
    sample: &NewSample,
    now: Timestamp,
) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO samples (cluster_id, at, snapshot, figures) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![
        system.as_str(),
        clock::text(now),
        sample.snapshot,
        sample.figures
    ])?;
    let newest = tx.last_insert_rowid();
    let was = Upkeep::read(tx, system)?;
    // Where all rows were pruned, their numbers are given again.
    let mut upkeep = if was.decided < newest {
        was.clone()
    } else {
        Upkeep::default()
    };
    if upkeep.thin(tx, system, now)? {
        upkeep.drop_old(tx, system, now)?;
        keep_newest(tx, system, MOST)?;
    }
    if upkeep != was {
        upkeep.write(tx, system)?;
    }
    Ok(())
}

/// How far the samples of a system were decided on.
#[derive(Debug, Clone, Default, PartialEq)]
struct Upkeep {
    /// Up to this row it is said which are kept.
    decided: i64,
    /// The minute of that row.
    minute: String,
    /// Up to this row those of a week ago are dropped.
    dropped: i64,
}

impl Upkeep {
    fn read(tx: &Transaction<'_>, system: &SystemId) -> Result<Self> {
        let found = tx
            .prepare_cached(
                "SELECT decided_id, minute, dropped_id FROM sample_upkeep WHERE cluster_id = ?1",
            )?
            .query_row([system.as_str()], |r| {
                Ok(Self {
                    decided: r.get(0)?,
                    minute: r.get(1)?,
                    dropped: r.get(2)?,
                })
            })
            .optional()?;
        Ok(found.unwrap_or_default())
    }

    fn write(&self, tx: &Transaction<'_>, system: &SystemId) -> Result<()> {
        tx.prepare_cached(
            "INSERT OR REPLACE INTO sample_upkeep (cluster_id, decided_id, minute, dropped_id)
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            system.as_str(),
            self.decided,
            self.minute,
            self.dropped
        ])?;
        Ok(())
    }

    /// Decides on what is old enough for that. Whether a minute was begun.
    fn thin(&mut self, tx: &Transaction<'_>, system: &SystemId, now: Timestamp) -> Result<bool> {
        let due = rows_before(tx, system, self.decided, now - UNDECIDED, AT_ONCE)?;
        let kept = Kept::around(tx, system, &due)?;
        let mut begun = false;
        for (id, at) in due {
            // Times of one length: the first letters say which minute it is.
            let minute = at.get(..16).unwrap_or(&at);
            if self.minute != minute {
                minute.clone_into(&mut self.minute);
                begun = true;
            } else if !kept.has(&at) {
                drop_row(tx, id)?;
            }
            self.decided = id;
        }
        Ok(begun)
    }

    /// Drops those of no incident that are older than [`QUIET`].
    fn drop_old(&mut self, tx: &Transaction<'_>, system: &SystemId, now: Timestamp) -> Result<()> {
        let old = rows_before(tx, system, self.dropped, now - QUIET, AT_ONCE_OLD)?;
        let kept = Kept::around(tx, system, &old)?;
        for (id, at) in old {
            if !kept.has(&at) {
                drop_row(tx, id)?;
            }
            self.dropped = id;
        }
        Ok(())
    }
}

/// The next rows of a system after one of them, as far as they are older than a time, with their times.
fn rows_before(
    tx: &Transaction<'_>,
    system: &SystemId,
    after: i64,
    before: Timestamp,
    limit: i64,
) -> Result<Vec<(i64, String)>> {
    let before = clock::text(before);
    let mut rows = tx.prepare_cached(
        "SELECT id, at FROM samples WHERE cluster_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
    )?;
    let rows = rows.query_map(params![system.as_str(), after, limit], |r| {
        Ok((r.get(0)?, r.get(1)?))
    })?;
    // The first that is younger ends it: nothing behind it is read.
    let older = |row: &rusqlite::Result<(i64, String)>| match row {
        Ok((_, at)) => *at < before,
        Err(_) => true,
    };
    Ok(rows.take_while(older).collect::<rusqlite::Result<_>>()?)
}

fn drop_row(tx: &Transaction<'_>, id: i64) -> Result<()> {
    tx.prepare_cached("DELETE FROM samples WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

/// Drops all but the newest `count` of a system; those of others take nothing from it.
fn keep_newest(tx: &Transaction<'_>, system: &SystemId, count: i64) -> Result<()> {
    tx.prepare_cached(
        "DELETE FROM samples WHERE cluster_id = ?1 AND id <= (SELECT id FROM samples
           WHERE cluster_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
    )?
    .execute(params![system.as_str(), count])?;
    Ok(())
}

/// Stretches of time of which each sample is kept.
#[derive(Debug, Default)]
struct Kept(Vec<(Timestamp, Timestamp)>);

impl Kept {
    /// Those that some rows of samples, in order, may fall into.
    fn around(tx: &Transaction<'_>, system: &SystemId, rows: &[(i64, String)]) -> Result<Self> {
        let times = || rows.iter().filter_map(|(_, at)| parse_time(at));
        let (Some(first), Some(last)) = (times().min(), times().max()) else {
            return Ok(Self::default());
        };
        let mut found = tx.prepare_cached(
            "SELECT first_seen_at, resolved_at FROM tickets
               WHERE cluster_id = ?1 AND resolved_at IS NULL AND first_seen_at <= ?3
             UNION ALL SELECT first_seen_at, resolved_at FROM tickets
               WHERE cluster_id = ?1 AND resolved_at >= ?2 AND first_seen_at <= ?3
             UNION ALL SELECT started_at, ended_at FROM agent_sessions
               WHERE cluster_id = ?1 AND ended_at IS NULL AND started_at <= ?3
             UNION ALL SELECT started_at, ended_at FROM agent_sessions
               WHERE cluster_id = ?1 AND ended_at >= ?2 AND started_at <= ?3",
        )?;
        let found = found.query_map(
            params![
                system.as_str(),
                clock::text(first - AROUND),
                clock::text(last + AROUND)
            ],
            |r| Ok((r.get::<_, String>(0)?, r.get::<_, Option<String>>(1)?)),
        )?;
        let mut kept = Self::default();
        for row in found {
            let (began, ended) = row?;
            let ended = ended.as_deref().and_then(parse_time);
            if let Some(began) = parse_time(&began) {
                kept.add(began, ended);
            }
        }
        Ok(kept)
    }

    fn add(&mut self, began: Timestamp, ended: Option<Timestamp>) {
        let longest = began + LONGEST;
        let beginning = ended.map_or(longest, |ended| ended.min(longest));
        self.0.push((began - AROUND, beginning + AROUND));
        if let Some(ended) = ended {
            self.0.push((ended - AROUND, ended + AROUND));
        }
    }

    fn has(&self, at: &str) -> bool {
        // What does not say when it was is of no incident.
        let Some(at) = parse_time(at) else {
            return false;
        };
        self.0.iter().any(|(from, to)| *from <= at && at <= *to)
    }
}

impl Engine {
    pub(crate) fn newest_sample(&self, cluster_id: &SystemId) -> Result<Option<Sample>> {
        Ok(self
            .conn
            .prepare_cached(
                "SELECT id, at, snapshot FROM samples WHERE cluster_id = ?1
                 ORDER BY id DESC LIMIT 1",
            )?
            .query_row([cluster_id.as_str()], from_row)
            .optional()?)
    }

    pub(crate) fn samples(
        &self,
        cluster_id: &SystemId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Sample>> {
        let rows = self
            .conn
            .prepare_cached(
                "SELECT id, at, snapshot FROM samples
                 WHERE cluster_id = ?1 AND at >= ?2 AND at <= ?3 ORDER BY at, id LIMIT ?4",
            )?
            .query_map(
                params![
                    cluster_id.as_str(),
                    clock::text(from),
                    clock::text(to),
                    MOST
                ],
                from_row,
            )?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }
}

impl Engine {
    pub(crate) fn sample_figures(
        &self,
        cluster_id: &SystemId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<SampleFigures>> {
        let rows = self
            .conn
            .prepare_cached(
                "SELECT at, figures, CASE WHEN figures IS NULL THEN snapshot END FROM samples
                 WHERE cluster_id = ?1 AND at >= ?2 AND at <= ?3 ORDER BY at, id LIMIT ?4",
            )?
            .query_map(
                params![
                    cluster_id.as_str(),
                    clock::text(from),
                    clock::text(to),
                    MOST
                ],
                |r| {
                    Ok(SampleFigures {
                        at: parse_time(&r.get::<_, String>(0)?),
                        figures: r.get(1)?,
                        snapshot: r.get(2)?,
                    })
                },
            )?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }
}

#[cfg(test)]
#[path = "samples_tests.rs"]
mod tests;
