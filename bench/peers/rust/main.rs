// SPDX-License-Identifier: BSD-2-Clause

//! r2d2 of Rust. Same arguments, loops, histogram and line of JSON as the programs in C (see
//! ../c/peer.h). Without a server its connections are empty; with one they are libpq's.
mod libpq;

use std::ffi::CString;
use std::fmt;
use std::process::exit;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const BUCKETS: usize = 1920;
const BATCH: u64 = 32;
const MEASURE: u32 = 1;
const STOP: u32 = 2;
const REST: u64 = 5; // connections open before a spike

static PHASE: AtomicU32 = AtomicU32::new(0);

fn die(text: &str) -> ! {
    eprintln!("{}", text);
    exit(1)
}

struct Manager {
    url: Option<String>,
}

#[derive(Debug)]
struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the server refused a connection")
    }
}

impl std::error::Error for Refused {}

impl r2d2::ManageConnection for Manager {
    type Connection = Option<libpq::Connection>;
    type Error = Refused;

    fn connect(&self) -> Result<Self::Connection, Refused> {
        match &self.url {
            None => Ok(None),
            Some(url) => libpq::Connection::open(url).map(Some).ok_or(Refused),
        }
    }

    fn is_valid(&self, _: &mut Self::Connection) -> Result<(), Refused> {
        Ok(())
    }

    fn has_broken(&self, connection: &mut Self::Connection) -> bool {
        connection.as_ref().map_or(false, |c| !c.is_open())
    }
}

#[derive(Clone)]
struct Job {
    work: String,
    threads: u64,
    connections: u64,
    hold: Duration,
    warm: Duration,
    run: Duration,
}

struct Tally {
    done: u64,
    longest: u64,
    bucket: Vec<u64>,
}

fn bucket_of(v: u64) -> usize {
    let bits = 64 - v.leading_zeros();
    let shift = bits.saturating_sub(6);
    (shift * 32) as usize + (v >> shift) as usize
}

impl Tally {
    fn record(&mut self, ns: u64) {
        self.done += 1;
        self.bucket[bucket_of(ns)] += 1;
        self.longest = self.longest.max(ns);
    }
}

fn take(pool: &r2d2::Pool<Manager>) -> r2d2::PooledConnection<Manager> {
    pool.get().unwrap_or_else(|e| die(&e.to_string()))
}

fn pairs(pool: &r2d2::Pool<Manager>, t: &mut Tally) {
    loop {
        let phase = PHASE.load(Ordering::Relaxed);
        if phase == STOP {
            return;
        }
        for _ in 0..BATCH {
            drop(take(pool));
        }
        if phase == MEASURE {
            t.done += BATCH;
        }
    }
}

fn timed(pool: &r2d2::Pool<Manager>, job: &Job, t: &mut Tally) {
    loop {
        let phase = PHASE.load(Ordering::Relaxed);
        if phase == STOP {
            return;
        }
        let begun = Instant::now();
        let mut handle = take(pool);
        let ended = Instant::now();
        match handle.as_mut() {
            None if job.hold > Duration::from_nanos(0) => {
                let until = Instant::now() + job.hold;
                while Instant::now() < until {}
            }
            None => (),
            Some(connection) => {
                if !connection.select() {
                    die("SELECT 1 failed");
                }
            }
        }
        drop(handle);
        if phase == MEASURE {
            t.record((ended - begun).as_nanos() as u64);
        }
    }
}

fn once(pool: &r2d2::Pool<Manager>, gate: &Gate, t: &mut Tally) {
    let begun = gate.pass();
    let mut handle = take(pool);
    let sql = CString::new("SELECT 1 FROM pg_sleep(0.002)").unwrap();
    if !handle.as_mut().map_or(false, |c| c.run(&sql)) {
        die("SELECT 1 failed");
    }
    drop(handle);
    t.record(begun.elapsed().as_nanos() as u64);
}

/// Where the threads of a spike wait, and learn when it began.
struct Gate {
    begun: Mutex<Option<Instant>>,
    open: Condvar,
}

impl Gate {
    fn pass(&self) -> Instant {
        let mut begun = self.begun.lock().unwrap();
        while begun.is_none() {
            begun = self.open.wait(begun).unwrap();
        }
        begun.unwrap()
    }

    fn open(&self, begun: Instant) {
        *self.begun.lock().unwrap() = Some(begun);
        self.open.notify_all();
    }
}

fn seconds(t: &Timeval) -> i64 {
    t.sec * 1_000_000_000 + t.usec * 1000
}

#[repr(C)]
#[derive(Default)]
struct Timeval {
    sec: i64,
    usec: i64,
}

#[repr(C)]
#[derive(Default)]
struct Rusage {
    user: Timeval,
    system: Timeval,
    rest: [i64; 14],
}

extern "C" {
    fn getrusage(who: i32, usage: *mut Rusage) -> i32;
    fn _exit(status: i32) -> !;
}

fn cpu() -> i64 {
    let mut u = Rusage::default();
    unsafe { getrusage(0, &mut u) };
    seconds(&u.user) + seconds(&u.system)
}

fn print(all: &[Tally], ns: u128, cpu_ns: i64) {
    let done: Vec<String> = all.iter().map(|t| t.done.to_string()).collect();
    let longest = all.iter().map(|t| t.longest).max().unwrap_or(0);
    let counts: Vec<String> = (0..BUCKETS)
        .map(|b| (b, all.iter().map(|t| t.bucket[b]).sum::<u64>()))
        .filter(|(_, n)| *n > 0)
        .map(|(b, n)| format!("[{}, {}]", b, n))
        .collect();
    println!(
        "{{\"ns\": {}, \"cpu_ns\": {}, \"done\": [{}], \"max\": {}, \"buckets\": [{}]}}",
        ns,
        cpu_ns,
        done.join(", "),
        longest,
        counts.join(", ")
    );
}

fn open(job: &Job) -> r2d2::Pool<Manager> {
    let spike = job.work == "spike";
    let url = if job.work == "query" || spike {
        std::env::var("DATABASE_URL").ok()
    } else {
        None
    };
    r2d2::Pool::builder()
        .max_size(job.connections as u32)
        .min_idle(if spike { Some(REST as u32) } else { None })
        .test_on_check_out(false)
        .build(Manager { url })
        .unwrap_or_else(|e| die(&e.to_string()))
}

fn measure(job: &Job) -> ! {
    let pool = open(job);
    let job = Arc::new(job.clone());
    let gate = Arc::new(Gate {
        begun: Mutex::new(None),
        open: Condvar::new(),
    });
    let threads: Vec<_> = (0..job.threads)
        .map(|_| {
            let (pool, job, gate) = (pool.clone(), job.clone(), gate.clone());
            thread::spawn(move || {
                let mut t = Tally {
                    done: 0,
                    longest: 0,
                    bucket: vec![0; BUCKETS],
                };
                match job.work.as_str() {
                    "pair" => pairs(&pool, &mut t),
                    "spike" => once(&pool, &gate, &mut t),
                    _ => timed(&pool, &job, &mut t),
                }
                t
            })
        })
        .collect();
    thread::sleep(job.warm);
    let (begun, cpu_begun) = (Instant::now(), cpu());
    PHASE.store(MEASURE, Ordering::SeqCst);
    if job.work == "spike" {
        gate.open(begun);
    } else {
        thread::sleep(job.run);
    }
    PHASE.store(STOP, Ordering::SeqCst);
    let (ns, cpu_ns) = (begun.elapsed().as_nanos(), cpu() - cpu_begun);
    let all: Vec<Tally> = threads
        .into_iter()
        .map(|t| t.join().unwrap_or_else(|_| die("a thread panicked")))
        .collect();
    print(&all, ns, cpu_ns);
    // The pool's threads may still be connecting: nothing is taken down under them.
    unsafe { _exit(0) }
}

fn main() {
    let a: Vec<String> = std::env::args().collect();
    let number = |word: &String| -> u64 { word.parse().unwrap_or_else(|_| die("not a number")) };
    if a.len() > 1 && a[1] == "buckets" {
        let found: Vec<String> = a[2..]
            .iter()
            .map(|w| bucket_of(number(w)).to_string())
            .collect();
        println!("{}", found.join(" "));
        return;
    }
    if a.len() != 8 {
        die("usage: r2d2_peer WORK THREADS CONNECTIONS HOLD_US WARM_MS RUN_MS VARIANT");
    }
    measure(&Job {
        work: a[1].clone(),
        threads: number(&a[2]),
        connections: number(&a[3]),
        hold: Duration::from_micros(number(&a[4])),
        warm: Duration::from_millis(number(&a[5])),
        run: Duration::from_millis(number(&a[6])),
    });
}
