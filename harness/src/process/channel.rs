//! The channel between the harness and its zygote: whole JSON messages over a stream socket, with a descriptor where one
//! is needed.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use nix::sys::time::TimeSpec;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::sys;

/// One end of a pair of connected sockets, over which messages of JSON and descriptors pass.
#[derive(Debug)]
pub struct Channel {
    stream: UnixStream,
}

impl Channel {
    /// Both ends of a new channel.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = UnixStream::pair()?;
        Ok((Self { stream: one }, Self { stream: other }))
    }

    /// Sends a message; with it, a copy of a descriptor.
    pub fn send<T: Serialize>(&self, message: &T, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let body = serde_json::to_vec(message)?;
        let length = u32::try_from(body.len()).map_err(io::Error::other)?.to_le_bytes();
        let descriptors = descriptor.map(|descriptor| descriptor.as_raw_fd());
        let rights = descriptors.as_slice();
        let control = [ControlMessage::ScmRights(rights)];
        let control = if rights.is_empty() { &[][..] } else { &control[..] };
        // In one call: whoever waits is woken once.
        let parts = [IoSlice::new(&length), IoSlice::new(&body)];
        let sent =
            retry(|| sendmsg::<()>(self.stream.as_raw_fd(), &parts, control, MsgFlags::MSG_NOSIGNAL, None))?;
        (&self.stream).write_all(&length[sent.min(length.len())..])?;
        (&self.stream).write_all(&body[sent.saturating_sub(length.len())..])
    }

    /// Waits for a message, and the descriptor that came with it; `None` once the other end is gone.
    pub fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<(T, Option<OwnedFd>)>> {
        let mut length = [0; 4];
        let mut space = nix::cmsg_space!(RawFd);
        let (received, descriptor) = retry(|| {
            let mut parts = [IoSliceMut::new(&mut length)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            let message = recvmsg::<()>(self.stream.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
            let rights = message.cmsgs()?.find_map(|control| match control {
                ControlMessageOwned::ScmRights(descriptors) => descriptors.first().copied(),
                _ => None,
            });
            Ok((message.bytes, rights.map(sys::own_received)))
        })?;
        if received == 0 {
            return Ok(None);
        }
        (&self.stream).read_exact(&mut length[received..])?;
        let mut body = vec![0; u32::from_le_bytes(length) as usize];
        (&self.stream).read_exact(&mut body)?;
        Ok(Some((serde_json::from_slice(&body)?, descriptor)))
    }

    /// Waits for something to receive (a message, or the end); whether there is.
    pub fn wait(&self, at_most: Duration) -> io::Result<bool> {
        let mut polled = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
        // Not in whole milliseconds: whoever waits for less would spin.
        match nix::poll::ppoll(&mut polled, Some(TimeSpec::from(at_most)), None) {
            Ok(ready) => Ok(ready > 0),
            // A signal: the caller looks around, and waits again if it likes.
            Err(Errno::EINTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl From<OwnedFd> for Channel {
    /// An end that came over another channel.
    fn from(descriptor: OwnedFd) -> Self {
        Self { stream: descriptor.into() }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_descriptors_arrive_whole() {
        let (one, other) = Channel::pair().expect("a pair");
        let file = rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::CLOEXEC).expect("a memory file");
        rustix::fs::ftruncate(&file, 77).expect("grow");
        one.send(&"with", Some(file.as_fd())).expect("send");
        one.send(&"without", None).expect("send");
        drop(one);
        let (text, descriptor) = other.receive::<String>().expect("receive").expect("a message");
        assert_eq!(text, "with");
        assert_eq!(rustix::fs::fstat(descriptor.expect("a descriptor")).expect("stat").st_size, 77);
        let (text, descriptor) = other.receive::<String>().expect("receive").expect("a message");
        assert!(text == "without" && descriptor.is_none());
        assert!(other.receive::<String>().expect("receive").is_none(), "the end");
    }
}
