//! The proxy on a real port, with a thread for each connection.

use super::{Proxy, Session};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

struct Shared {
    proxy: Mutex<Proxy>,
    /// Milliseconds before each answer.
    slow: AtomicU64,
    /// Accepts and says nothing.
    silent: AtomicBool,
    end: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

/// A proxy that listens; it is gone when this is dropped.
pub struct Front {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Front {
    pub fn start(proxy: Proxy) -> Front {
        Front::at("127.0.0.1:0".parse().expect("an address"), proxy)
    }

    /// On a given port, which a proxy that is gone has left.
    pub fn at(address: SocketAddr, proxy: Proxy) -> Front {
        let listener = TcpListener::bind(address).expect("the port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            proxy: Mutex::new(proxy),
            slow: AtomicU64::new(0),
            silent: AtomicBool::new(false),
            end: AtomicBool::new(false),
            streams: Mutex::default(),
        });
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    if shared.end.load(Ordering::Acquire) {
                        return;
                    }
                    let stream = stream.expect("a connection");
                    shared.streams.lock().unwrap().push(stream.try_clone().expect("a clone"));
                    let shared = Arc::clone(&shared);
                    std::thread::spawn(move || serve(&shared, stream));
                }
            })
        };
        Front { address, shared, thread: Some(thread) }
    }

    pub fn proxy(&self) -> MutexGuard<'_, Proxy> {
        self.shared.proxy.lock().unwrap()
    }

    pub fn slow(&self, answer: Duration) {
        self.shared.slow.store(answer.as_millis() as u64, Ordering::Release);
    }

    pub fn silent(&self, on: bool) {
        self.shared.silent.store(on, Ordering::Release);
    }

    /// Ends every connection.
    pub fn cut(&self) {
        for stream in self.shared.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.shared.end.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.cut();
    }
}

fn serve(shared: &Shared, mut stream: TcpStream) {
    let mut session = Session::default();
    let mut buffer = [0; 4096];
    if !shared.silent.load(Ordering::Acquire) && stream.write_all(&Session::greeting()).is_err() {
        return;
    }
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        if shared.silent.load(Ordering::Acquire) {
            continue;
        }
        std::thread::sleep(Duration::from_millis(shared.slow.load(Ordering::Acquire)));
        let out = session.take(&mut shared.proxy.lock().unwrap(), &buffer[..count]);
        if stream.write_all(&out).is_err() || session.closed {
            return;
        }
    }
}
