//! Open descriptors on their way through a Unix socket.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// The most that is sent at once.
const DESCRIPTORS_MAX: usize = 4;
/// The longest text that goes with them.
const TEXT_BYTES_MAX: usize = 256;

/// Received descriptors must not reach programs that are started; where the system cannot say so at once, they are
/// marked below.
#[cfg(target_os = "linux")]
const FLAGS: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(not(target_os = "linux"))]
const FLAGS: RecvFlags = RecvFlags::empty();

/// Sends a short text with descriptors, of which the receiver gets copies.
///
/// # Errors
/// When the other side is gone.
pub(crate) async fn send(to: &UnixStream, text: &[u8], open: &[BorrowedFd<'_>]) -> io::Result<()> {
    let sent = to
        .async_io(Interest::WRITABLE, || {
            let mut space =
                [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !control.push(SendAncillaryMessage::ScmRights(open)) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            Ok(sendmsg(to, &[IoSlice::new(text)], &mut control, SendFlags::empty())?)
        })
        .await?;
    // The rest of so short a text would have to follow without the descriptors; it never happens.
    if sent == text.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Receives a short text and the descriptors that came with it; an empty text is the end.
///
/// # Errors
/// When the connection broke.
pub(crate) async fn receive(from: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    from.async_io(Interest::READABLE, || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut text = [0; TEXT_BYTES_MAX];
        let received = recvmsg(from, &mut [IoSliceMut::new(&mut text)], &mut control, FLAGS)?;
        let mut open = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                open.extend(descriptors);
            }
        }
        for descriptor in &open {
            rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC)?;
        }
        Ok((text[..received.bytes].to_vec(), open))
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _};
    use std::os::fd::AsFd as _;

    use super::*;

    #[tokio::test]
    async fn descriptors_arrive_in_order_and_no_program_inherits_them() {
        let (one, two) = UnixStream::pair().unwrap();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        send(&one, b"both\n", &[reader.as_fd(), writer.as_fd()]).await.unwrap();
        drop((reader, writer));
        let (text, mut open) = receive(&two).await.unwrap();
        assert_eq!((text.as_slice(), open.len()), (&b"both\n"[..], 2));
        for it in &open {
            assert!(rustix::io::fcntl_getfd(it).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        }
        let mut writer = File::from(open.pop().unwrap());
        writer.write_all(b"through").unwrap();
        drop(writer);
        let mut read = String::new();
        File::from(open.pop().unwrap()).read_to_string(&mut read).unwrap();
        assert_eq!(read, "through");
        drop(one);
        assert_eq!(receive(&two).await.unwrap().0, b"");
    }
}
