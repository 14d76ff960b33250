//! Sockets and poller at the system's border.

mod board;

use super::clock;
use super::descriptor::Registry;
use super::poller::{Epoll, Poller};
use super::socket::{Progress, Received, Socket, Target};
use super::wake::Wake;
use crate::probe::PeerSign;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

static PIPES: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count_pipe(_: libc::c_int) {
    PIPES.fetch_add(1, Ordering::SeqCst);
}

fn pair(registry: &Arc<Registry>) -> (Socket, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let target = Target::Tcp(listener.local_addr().expect("an address"));
    let (socket, progress) = Socket::connect(registry, &target).expect("a connection");
    let peer = listener.accept().expect("the peer").0;
    if progress == Progress::Pending {
        socket.finish().expect("the connection");
    }
    (socket, peer)
}

#[test]
fn a_peer_that_closed_raises_no_signal() {
    // SAFETY: the handler touches one atomic. The old disposition is put back at the end.
    let old = unsafe { libc::signal(libc::SIGPIPE, count_pipe as *const () as libc::sighandler_t) };
    let registry = Registry::new(8);
    let send_until_broken = |socket: &Socket, send: &dyn Fn() -> std::io::Result<usize>| {
        let start = Instant::now();
        loop {
            match send() {
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => return,
                _ => assert!(start.elapsed() < Duration::from_secs(2), "{socket:?} never broke"),
            }
        }
    };
    let (socket, peer) = pair(&registry);
    drop(peer);
    send_until_broken(&socket, &|| socket.send(b"quit"));
    assert_eq!(PIPES.load(Ordering::SeqCst), 0, "sendmsg with MSG_NOSIGNAL");
    // That the handler would have told: the same with a plain write.
    let (socket, peer) = pair(&registry);
    drop(peer);
    send_until_broken(&socket, &|| {
        // SAFETY: four bytes of a constant.
        let result = unsafe { libc::write(socket.number(), b"quit".as_ptr().cast(), 4) };
        usize::try_from(result).map_err(|_| std::io::Error::last_os_error())
    });
    assert!(PIPES.load(Ordering::SeqCst) > 0, "a plain write raises it");
    // SAFETY: puts back what was there.
    unsafe { libc::signal(libc::SIGPIPE, old) };
}

#[test]
fn reads_and_writes() {
    let registry = Registry::new(8);
    let (socket, mut peer) = pair(&registry);
    let mut buffer = [0u8; 64];
    assert_eq!(socket.receive(&mut buffer), Received::Nothing);
    assert_eq!(socket.send(b"hello").expect("a write"), 5);
    peer.read_exact(&mut buffer[..5]).expect("a read");
    assert_eq!(&buffer[..5], b"hello");
    peer.write_all(b"answer").expect("a write");
    peer.shutdown(std::net::Shutdown::Write).expect("its end");
    assert_eq!(socket.receive(&mut buffer), Received::Bytes(6));
    assert_eq!(socket.receive(&mut buffer), Received::End);
    let large = vec![7u8; 32 << 20];
    let sent = socket.send(&large).expect("a write");
    assert!(sent > 0 && sent < large.len(), "the kernel took {sent} and no more");
    drop((socket, peer));
    let (socket, peer) = pair(&registry);
    socket.send(b"never read").expect("a write");
    // What was not read makes the peer's kernel reset the connection.
    drop(peer);
    let start = Instant::now();
    while socket.receive(&mut buffer) != Received::Broken(libc::ECONNRESET) {
        assert!(start.elapsed() < Duration::from_secs(2));
    }
    assert_eq!(registry.open(), 1);
    drop(socket);
    assert_eq!(registry.open(), 0);
}

#[test]
fn the_sign_of_the_peer() {
    let registry = Registry::new(8);
    let (socket, peer) = pair(&registry);
    socket.send(b"a question").expect("a write");
    assert_eq!(socket.sign(), PeerSign::Acknowledged, "loopback acknowledges at once; nobody reads");
    // What waits to be sent is acknowledged by nobody, here for a window that is full.
    socket.send(&vec![7u8; 32 << 20]).expect("a write");
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(300) {
        assert_eq!(socket.sign(), PeerSign::NotAcknowledged);
    }
    drop(peer);
    // A backlog that is full on loopback drops the handshake: still connecting.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    // SAFETY: no pointer is passed.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let target = Target::Tcp(listener.local_addr().expect("an address"));
    let sockets: Vec<_> = (0..4).map(|_| Socket::connect(&registry, &target).expect("an attempt")).collect();
    assert!(sockets.iter().any(|(socket, _)| socket.sign() == PeerSign::Connecting));
}

#[test]
fn a_port_that_is_connected_to_itself_counts_as_refused() {
    let registry = Registry::new(8);
    // What the kernel does by chance to an ephemeral port without a listener, done on purpose.
    // SAFETY: the address is live and of the length that is passed; the descriptor is new and ours.
    let own = unsafe {
        let fd =
            super::descriptor::owned(libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0)).expect("a socket");
        let mut address: libc::sockaddr_in = core::mem::zeroed();
        address.sin_family = libc::AF_INET as libc::sa_family_t;
        address.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
        let mut length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        assert_eq!(libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length), 0);
        assert_eq!(libc::getsockname(fd.as_raw_fd(), (&raw mut address).cast(), &mut length), 0);
        assert_eq!(libc::connect(fd.as_raw_fd(), (&raw const address).cast(), length), 0, "to itself");
        Socket::from_connected(registry.adopt(fd))
    };
    assert_eq!(own.finish().expect_err("itself").raw_os_error(), Some(libc::ECONNREFUSED));
    pair(&registry).0.finish().expect("another one is fine");
}

#[test]
fn addresses_of_every_family() {
    let registry = Registry::new(8);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sock");
    let missing = Socket::connect(&registry, &Target::Unix(path.clone())).expect_err("no file");
    assert_eq!(missing.raw_os_error(), Some(libc::ENOENT));
    let _listener = std::os::unix::net::UnixListener::bind(&path).expect("bind");
    let (socket, progress) = Socket::connect(&registry, &Target::Unix(path)).expect("a connection");
    assert_eq!((progress, socket.sign()), (Progress::Up, PeerSign::Acknowledged));
    let long = folder.path().join("x".repeat(120));
    let error = Socket::connect(&registry, &Target::Unix(long)).expect_err("too long");
    assert_eq!(error.raw_os_error(), Some(libc::ENAMETOOLONG));
    // Where this machine has IPv6 at all.
    if let Ok(listener) = TcpListener::bind("[::1]:0") {
        let target = Target::Tcp(listener.local_addr().expect("an address"));
        let (socket, _) = Socket::connect(&registry, &target).expect("a connection");
        listener.accept().expect("the peer");
        socket.finish().expect("the connection");
    }
}

#[test]
fn the_hosts_poller_wakes_for_its_timer_and_not_before() {
    let registry = Registry::new(8);
    let wake = Wake::new(&registry).expect("an eventfd");
    let mut epoll = Epoll::for_host(&registry, &wake).expect("epoll");
    let readable = |epoll: &Epoll, limit: i32| {
        let mut poll = libc::pollfd { fd: epoll.fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one live structure.
        unsafe { libc::poll(&mut poll, 1, limit) == 1 }
    };
    let mut events = Vec::new();
    for _ in 0..3 {
        let start = Instant::now();
        epoll.set_deadline(Some(clock::mono() + Duration::from_millis(40))).expect("a timer");
        assert!(!readable(&epoll, 20));
        assert!(readable(&epoll, 200));
        assert!(start.elapsed() >= Duration::from_millis(39), "{:?}", start.elapsed());
        assert!(!epoll.poll(&mut events).expect("a poll") && events.is_empty());
        assert!(!readable(&epoll, 20), "nobody has to read the timer");
    }
    // A deadline that has passed counts at once, the same one twice.
    let passed = Some(clock::mono());
    for _ in 0..2 {
        epoll.set_deadline(passed).expect("a timer");
        assert!(readable(&epoll, 100));
        epoll.poll(&mut events).expect("a poll");
    }
    wake.raise();
    assert!(readable(&epoll, 100));
}

#[test]
fn a_sleeper_is_woken_for_an_earlier_deadline_only() {
    let registry = Registry::new(8);
    let wake = Arc::new(Wake::new(&registry).expect("an eventfd"));
    let mut epoll = Epoll::for_thread(&registry, Arc::clone(&wake)).expect("epoll");
    let mut waiter = epoll.waiter();
    let far = clock::mono() + Duration::from_secs(60);
    epoll.set_deadline(Some(far)).expect("a deadline");
    let until = epoll.fall_asleep();
    assert_eq!(until, Some(far));
    let sleeper = std::thread::spawn(move || {
        let start = Instant::now();
        waiter.wait(&mut Vec::new(), until).expect("a wait");
        (start.elapsed(), waiter)
    });
    std::thread::sleep(Duration::from_millis(30));
    epoll.set_deadline(Some(far + Duration::from_secs(1))).expect("a later one");
    std::thread::sleep(Duration::from_millis(30));
    assert!(!sleeper.is_finished());
    epoll.set_deadline(Some(clock::mono())).expect("an earlier one");
    let (slept, mut waiter) = sleeper.join().expect("the sleeper");
    assert!(slept < Duration::from_secs(2), "{slept:?}");
    epoll.wake_up();
    let start = Instant::now();
    waiter.wait(&mut Vec::new(), Some(clock::mono() + Duration::from_micros(2500))).expect("a wait");
    assert!(start.elapsed() >= Duration::from_micros(2500), "{:?}", start.elapsed());
}
