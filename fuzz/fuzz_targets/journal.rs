//! A damaged or forged journal.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use raccall_record::journal::Scan;

fuzz_target!(|bytes: &[u8]| {
    let mut scan = Scan::new(Cursor::new(bytes), None, 1_000_000_000);
    while let Ok(Some(_)) = scan.read() {}
    scan.damage();
});
