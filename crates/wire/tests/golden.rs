//! Opens what other libraries sealed: `tests/wire/golden`, made by `tests/wire/make_golden.py`. Python tests the reverse.

use std::fs;
use std::path::Path;

use raccall_wire::transport::{Cipher, Mode};

#[test]
fn opens_every_golden_datagram() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/wire/golden");
    let key: [u8; 32] = std::array::from_fn(|at| 100 + at as u8);
    let mut opened = 0;
    for file in fs::read_dir(&folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        // CASE.MODE.bin is the datagram of CASE.bin
        let [case, mode, "bin"] = name.split('.').collect::<Vec<_>>()[..] else { continue };
        let cipher = Cipher::new(Mode::from_wire_name(mode).unwrap(), &key);
        let mut packet = Vec::new();
        cipher.open(&fs::read(folder.join(&name)).unwrap(), &mut packet).unwrap();
        assert_eq!(packet, fs::read(folder.join(format!("{case}.bin"))).unwrap(), "{name}");
        opened += 1;
    }
    assert!(opened >= 10 * Mode::ALL.len(), "only {opened} datagrams");
}
