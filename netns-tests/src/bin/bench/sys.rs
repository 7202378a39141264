//! What the measurements need of the kernel that std does not give: entering a namespace, sending many raw frames with one
//! call, and being told to end.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

/// Frames handed over by one call.
pub(crate) const BATCH: usize = 64;
/// Bytes of every frame.
pub(crate) const FRAME_LENGTH: usize = 60;

/// Runs `work` inside a network namespace, on a thread of its own; sockets and files opened there stay there.
pub(crate) fn in_namespace<T: Send>(name: &str, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let namespace = File::open(format!("/run/netns/{name}"))?;
    std::thread::scope(|scope| {
        let inside = scope.spawn(move || {
            // SAFETY: setns takes an open descriptor and changes only the calling thread, which ends after `work`.
            let result = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
            if result == 0 { work() } else { Err(io::Error::last_os_error()) }
        });
        inside.join().unwrap_or_else(|_| Err(io::Error::other("the thread inside the namespace panicked")))
    })
}

/// A packet socket that only sends.
pub(crate) struct RawSender {
    socket: OwnedFd,
}

impl RawSender {
    /// Opens one on `interface` of the current namespace.
    pub(crate) fn open(interface: &str) -> io::Result<Self> {
        let name = CString::new(interface)?;
        // SAFETY: `name` is a terminated string that lives through the call.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        // SAFETY: no pointers are passed. Protocol 0: the socket receives nothing.
        let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if index == 0 || socket < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `socket` was opened above and belongs to nobody else.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        // SAFETY: all fields of a sockaddr_ll are integers, for which zero is a value.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_ifindex = index.cast_signed();
        let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: the pointer and the length describe `address`, which lives through the call.
        let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
        if bound == 0 { Ok(Self { socket }) } else { Err(io::Error::last_os_error()) }
    }

    /// Sends the frames in order; what the interface does not take now is lost. Returns how many were taken.
    pub(crate) fn send(&self, frames: &[[u8; FRAME_LENGTH]; BATCH]) -> usize {
        let mut pieces = frames
            .each_ref()
            .map(|frame| libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: FRAME_LENGTH });
        let mut messages = pieces.each_mut().map(|piece| {
            // SAFETY: all fields of an mmsghdr are integers or pointers, for which zero is a value.
            let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
            message.msg_hdr.msg_iov = piece;
            message.msg_hdr.msg_iovlen = 1;
            message
        });
        let (mut done, mut taken) = (0, 0);
        while done < BATCH {
            let rest = &mut messages[done..];
            // SAFETY: `rest` holds that many headers whose pieces point into `frames`, which is only read.
            let sent = unsafe { libc::sendmmsg(self.socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as u32, 0) };
            let sent = usize::try_from(sent).unwrap_or(0);
            taken += sent;
            done += sent.max(1);
        }
        taken
    }
}

static SIGNAL_PIPE: AtomicI32 = AtomicI32::new(-1);

extern "C" fn note_signal(_signal: libc::c_int) {
    // SAFETY: write is async-signal-safe, and the byte lives through the call.
    unsafe { libc::write(SIGNAL_PIPE.load(Ordering::Relaxed), [1u8].as_ptr().cast(), 1) };
}

/// Calls `clean_up` and ends the program on SIGINT, SIGTERM or SIGHUP.
pub(crate) fn on_termination(clean_up: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let (mut told, teller) = io::pipe()?;
    SIGNAL_PIPE.store(teller.into_raw_fd(), Ordering::Relaxed);
    std::thread::spawn(move || {
        if told.read_exact(&mut [0]).is_ok() {
            clean_up();
            std::process::exit(130);
        }
    });
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler only writes to a pipe that is never closed.
        unsafe { libc::signal(signal, note_signal as *const () as libc::sighandler_t) };
    }
    Ok(())
}

/// Whether the program runs as root.
pub(crate) fn is_root() -> bool {
    // SAFETY: geteuid cannot fail and touches no memory.
    unsafe { libc::geteuid() == 0 }
}
