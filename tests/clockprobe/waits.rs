//! What main.go does as `clockprobe waits`, for the ways of waiting that Rust has. Built by `rustc -O waits.rs`.

use std::io::{stdin, BufRead};
use std::sync::{mpsc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

extern "C" {
    fn syscall(number: i64, clock: i64, result: *mut [i64; 2]) -> i64;
}

const MONOTONIC: i64 = 1;
const THREAD_CPU: i64 = 3;

/// From the kernel itself, which no skew of the vDSO reaches.
fn true_ms(clock: i64) -> i64 {
    let mut at = [0i64; 2];
    unsafe { syscall(228, clock, &mut at) };
    at[0] * 1000 + at[1] / 1_000_000
}

fn once(span: Duration) {
    let (mutex, condition) = (Mutex::new(()), Condvar::new());
    drop(condition.wait_timeout(mutex.lock().unwrap(), span));
}

fn until(span: Duration) {
    let (mutex, condition) = (Mutex::new(()), Condvar::new());
    drop(condition.wait_timeout_while(mutex.lock().unwrap(), span, |_| true));
}

fn receive(span: Duration) {
    let (_keep, receiver) = mpsc::channel::<()>();
    let _ = receiver.recv_timeout(span);
}

fn park(span: Duration) {
    let deadline = Instant::now() + span;
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        thread::park_timeout(left);
    }
}

fn main() {
    let ways: [(&str, fn(Duration)); 5] = [
        ("thread::sleep", thread::sleep),
        ("Condvar::wait_timeout", once),
        ("Condvar::wait_timeout_while", until),
        ("Receiver::recv_timeout", receive),
        ("thread::park_timeout, until it is time", park),
    ];
    println!("ready");
    for line in stdin().lock().lines() {
        let span = Duration::from_millis(line.unwrap().parse().unwrap());
        let threads = ways.map(|(name, wait)| {
            thread::spawn(move || {
                let (start, used) = (true_ms(MONOTONIC), true_ms(THREAD_CPU));
                wait(span);
                (name, true_ms(MONOTONIC) - start, true_ms(THREAD_CPU) - used)
            })
        });
        for thread in threads {
            let (name, took, used) = thread.join().unwrap();
            println!("{name}\t{took}\t{used}");
        }
        println!("done");
    }
}
