//! The local side of a sync: what a working tree is made of, cheaply and never wrongly. It knows no SSH and no provider.
//!
//! ```text
//! let known = Manifest::load(&file);                              // None: nothing is known
//! let scan = scan(&tree, known.as_ref(), clock.now()).await?;     // what the tree is now
//! let held = known.unwrap_or_default();                           // what the box holds
//! let delta = Delta::between(&held, &scan, Compare::Stamps)?;     // blocking: hashes what may have changed
//! let written = write_delta(&delta, &layout, sink)?;              // blocking: a tar stream
//! written.manifest.save(&file)?;                                  // once the box has confirmed it
//! ```
//!
//! A [`Manifest`] says two things about each path: the stamps that the local file had, and the hash of what the box holds
//! of it. The stamps make the next [`scan()`] cheap, the hashes make the next [`Delta`] small. It may be lost at any time:
//! without it everything is looked at, and sent, again.
//!
//! # When stamps are believed
//!
//! A file is taken for unchanged when its size, modification time, change time, inode, device and mode are those of the
//! manifest **and** both times are older than the moment the manifest's scan began. A file that was written within the
//! same tick of the file system's clock as it was read has the stamps of what was read, and other content; so whatever is
//! that young is looked at again by its content. git calls such entries racily clean. A file system whose clock may not
//! be ours gets a minute's margin.
//!
//! What no stamp shows is not seen: a program that keeps writing through a shared memory map that it dirtied before the
//! scan changes the stamps when the kernel writes the pages back. [`Compare::Checksum`] reads every file.

mod delta;
mod error;
mod list;
mod manifest;
mod open;
mod order;
mod published;
mod scan;
mod stat;
mod stream;
mod tree;

pub use delta::{Change, Compare, Delta, Overlap, Write};
pub use error::{Result, TreeError};
pub use manifest::{Content, Entry, Held, Kind, Manifest};
pub use published::Published;
pub use scan::{Listing, Scan, scan};
pub use stream::{Layout, Written, write_delta};
pub use tree::{Skipped, Source, Tree, WhySkipped, is_inside};
