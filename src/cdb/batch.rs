//! Records in the order in which they are written, of which several names may have some alike: one domain and its alias
//! domains. These are kept once and laid out for each name when they are written, so that a thousand alias domains take
//! the memory of one.

use std::collections::HashSet;

use super::{Chunk, HASH_START, hash_on, most_alike};

/// What stands around the part of a key that several names have alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// In front of it.
    pub head: Vec<u8>,
    /// Behind the `@` that it ends in; a part that does not end in `@` has nothing behind it.
    pub domain: Vec<u8>,
}

impl Frame {
    /// What the key has inside this frame; `None` when it does not stand in it.
    pub fn inside<'k>(&self, key: &'k [u8]) -> Option<&'k [u8]> {
        let key = key.strip_prefix(&self.head[..])?;
        let inside = key.strip_suffix(&self.domain[..]).filter(|inside| inside.ends_with(b"@"));
        inside.or(Some(key).filter(|key| !key.contains(&b'@')))
    }

    /// The records as they are inside of this frame. `None` when one does not stand in it, or has another `@`: the domain
    /// then decides about the order of the records.
    pub fn take_out(&self, records: &Chunk) -> Option<Chunk> {
        let mut inside = Chunk::default();
        inside.reserve(records.len(), records.size());
        for record in records.records() {
            let key = self.inside(record.key)?;
            if key.strip_suffix(b"@").unwrap_or(key).contains(&b'@') {
                return None;
            }
            inside.add(&[key], &[record.data]);
        }
        inside.shrink_to_fit();
        Some(inside)
    }

    /// Adds records to a chunk as they stand in this frame.
    pub fn put_into(&self, inside: &Chunk, chunk: &mut Chunk) {
        let Frame { head, domain } = self;
        for (record, (hash, _)) in inside.records().zip(&inside.places) {
            let tail = if record.key.ends_with(b"@") { &domain[..] } else { b"" };
            let hash = match head.is_empty() {
                true => hash_on(*hash, tail),
                false => [head, record.key, tail].iter().fold(HASH_START, |hash, piece| hash_on(hash, piece)),
            };
            chunk.add_hashed(hash, &[head, record.key, tail], &[record.data]);
        }
    }
}

/// How many bytes some records take, as far as that does not depend on a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// The bytes inside the frame, and the eight that each record begins with.
    bytes: u64,
    records: u64,
    /// How many of the records end in an `@`.
    tails: u64,
}

impl Extent {
    /// Of these records.
    pub fn of(inside: &Chunk) -> Extent {
        let tails = inside.records().filter(|record| record.key.ends_with(b"@")).count();
        Extent { bytes: inside.size() as u64, records: inside.len() as u64, tails: tails as u64 }
    }

    /// Of records that take so many bytes in no frame.
    pub fn plain(bytes: u32) -> Extent {
        Extent { bytes: bytes.into(), ..Extent::default() }
    }

    /// In this frame, or in none.
    pub fn within(&self, frame: Option<&Frame>) -> u64 {
        let Some(Frame { head, domain }) = frame else { return self.bytes };
        self.bytes + self.records * head.len() as u64 + self.tails * domain.len() as u64
    }
}

/// Records that stand side by side.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Piece {
    /// The number of the chunk that has them.
    pub chunk: usize,
    /// Where the chunk has the keys as they are inside a frame: the frame.
    pub frame: Option<Frame>,
}

/// Records in the order in which they are written. The first piece is of records that stand by themselves, if any.
#[derive(Clone, Debug)]
pub struct Batch {
    chunks: Vec<Chunk>,
    pieces: Vec<Piece>,
}

/// So many bytes of framed records are laid out at once.
const LAID_OUT_AT_ONCE: usize = 1 << 18;

impl From<Chunk> for Batch {
    fn from(own: Chunk) -> Batch {
        Batch { chunks: vec![own], pieces: vec![Piece { chunk: 0, frame: None }] }
    }
}

impl Default for Batch {
    fn default() -> Batch {
        Chunk::default().into()
    }
}

impl Batch {
    /// Where records are added that stand by themselves.
    pub fn own(&mut self) -> &mut Chunk {
        let last = self.pieces.last().filter(|piece| piece.frame.is_none()).map(|piece| piece.chunk);
        let number = last.unwrap_or_else(|| {
            let number = self.keep(Chunk::default());
            self.pieces.push(Piece { chunk: number, frame: None });
            number
        });
        // The number is that of a chunk.
        &mut self.chunks[number]
    }

    /// Keeps records as they are inside a frame, and says their number; they are written for each [`Batch::copy`].
    pub fn keep(&mut self, inside: Chunk) -> usize {
        self.chunks.push(inside);
        self.chunks.len() - 1
    }

    /// Adds kept records in this frame.
    pub fn copy(&mut self, number: usize, frame: Frame) {
        self.pieces.push(Piece { chunk: number, frame: Some(frame) });
    }

    /// The records that are kept.
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// What is written, in its order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// How many bytes the records take when they are written.
    pub fn size(&self) -> u64 {
        if let [only] = &self.chunks[..] {
            return only.size() as u64;
        }
        let extents: Vec<Extent> = self.chunks.iter().map(Extent::of).collect();
        self.pieces.iter().map(|piece| extents[piece.chunk].within(piece.frame.as_ref())).sum()
    }

    /// How many records are written.
    pub fn records(&self) -> usize {
        self.pieces.iter().map(|piece| self.chunks[piece.chunk].len()).sum()
    }

    /// How many of the keys have the same hash, at most. Keys in different frames are not compared.
    pub fn most_alike(&self) -> usize {
        let own = self.pieces.iter().filter(|piece| piece.frame.is_none());
        let own = own.flat_map(|piece| self.chunks[piece.chunk].places.iter().map(|(hash, _)| *hash)).collect();
        let mut counted = HashSet::new();
        let framed = self.pieces.iter().filter_map(|Piece { chunk, frame }| {
            let (frame, chunk) = (frame.as_ref()?, *chunk);
            // What is added to keys of one hash makes keys of one hash: behind them always, in front of them not.
            if frame.head.is_empty() && !counted.insert(chunk) {
                return None;
            }
            let mut records = Chunk::default();
            frame.put_into(&self.chunks[chunk], &mut records);
            Some(most_alike(records.places.into_iter().map(|(hash, _)| hash).collect()))
        });
        framed.max().unwrap_or(0).max(most_alike(own))
    }

    /// Gives back the room that it does not need.
    pub fn shrink_to_fit(&mut self) {
        self.chunks.iter_mut().for_each(Chunk::shrink_to_fit);
    }

    /// Hands the records to `take` in their order, some at once.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn lay_out<E>(&self, take: &mut dyn FnMut(&Chunk) -> Result<(), E>) -> Result<(), E> {
        let mut framed = Chunk::default();
        for Piece { chunk, frame } in &self.pieces {
            let records = &self.chunks[*chunk];
            if let Some(frame) = frame {
                frame.put_into(records, &mut framed);
            }
            if frame.is_none() || framed.size() >= LAID_OUT_AT_ONCE {
                hand_on(&framed, take)?;
                framed.clear();
            }
            if frame.is_none() {
                hand_on(records, take)?;
            }
        }
        hand_on(&framed, take)
    }
}

fn hand_on<E>(records: &Chunk, take: &mut dyn FnMut(&Chunk) -> Result<(), E>) -> Result<(), E> {
    if records.is_empty() { Ok(()) } else { take(records) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMES: [(&str, &str); 4] = [("", "a.test"), ("", "longer.test"), ("a-", "x"), ("bcd-", "x")];

    fn frame((head, domain): (&str, &str)) -> Frame {
        Frame { head: head.as_bytes().to_vec(), domain: domain.as_bytes().to_vec() }
    }

    /// What one name has.
    fn add(chunk: &mut Chunk, (head, domain): (&str, &str)) {
        for local in ["", "ann", "list-default"] {
            chunk.add(&[format!("{head}{local}@{domain}").as_bytes()], &[b"-"]);
        }
        // A name without a domain.
        chunk.add(&[format!("{head}bare").as_bytes()], &[b"data"]);
    }

    #[test]
    fn what_one_name_has_is_laid_out_for_each_as_if_it_were_added_there() {
        for first in FRAMES {
            let (mut batch, mut wanted) = (Batch::default(), Chunk::default());
            let mut of_first = Chunk::default();
            add(&mut of_first, first);
            let number = batch.keep(frame(first).take_out(&of_first).unwrap());
            for other in FRAMES {
                // Between records that stand by themselves.
                for chunk in [batch.own(), &mut wanted] {
                    chunk.add(&[b"own@", other.1.as_bytes()], &[b""]);
                }
                batch.copy(number, frame(other));
                add(&mut wanted, other);
            }
            let mut all = Chunk::default();
            let taken: Result<(), ()> = batch.lay_out(&mut |some| {
                some.records().for_each(|record| all.add(&[record.key], &[record.data]));
                let hashes = some.records().map(|record| super::super::hash(record.key));
                assert!(hashes.eq(some.places.iter().map(|(hash, _)| *hash)));
                Ok(())
            });
            taken.unwrap();
            assert_eq!(all.bytes(), wanted.bytes());
            assert_eq!(batch.size(), wanted.size() as u64);
        }
    }

    #[test]
    fn what_does_not_stand_in_the_frame_or_is_sorted_by_the_domain_is_not_taken_out() {
        let take_out = |key: &str, frame_: (&str, &str)| {
            let mut chunk = Chunk::default();
            chunk.add(&[key.as_bytes()], &[b""]);
            frame(frame_).take_out(&chunk).is_some()
        };
        assert!(take_out("ann@a.test", ("", "a.test")));
        assert!(!take_out("ann@a.test", ("", "b.test")));
        assert!(!take_out("ann@a.test", ("b-", "a.test")));
        assert!(!take_out("ann@a.test", ("", ".test")), "the domain is not all of it");
        assert!(!take_out("a@b@a.test", ("", "a.test")));
    }
}
