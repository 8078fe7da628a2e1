//! Two readers of the format that others wrote: in a table of ours both find what our reader finds. They are asked about no
//! table that somebody else wrote, because neither expects damage.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use qmail_updater::cdb::Reader;
use qmail_updater::text::Shown;

/// witness_cdb opens no table without records.
const EMPTY: usize = 2048;

/// Both readers find in the table what our reader finds: in the same order, and by each key. Says how many records that are.
pub fn agrees(table: &Path) -> usize {
    let image = fs::read(table).unwrap();
    let ours = Reader::new(&image).unwrap();
    ours.check_all_found().unwrap();
    let records: Vec<(Vec<u8>, Vec<u8>)> =
        ours.records().map(|record| (record.key.to_vec(), record.data.to_vec())).collect();
    let mut by_key: HashMap<&[u8], Vec<&[u8]>> = HashMap::new();
    records.iter().for_each(|(key, data)| by_key.entry(key).or_default().push(data));
    let missing = [&b""[..], b"no such key", b"nobody@no.test"].map(|key| (key, Vec::new()));
    let asked = by_key.iter().map(|(key, data)| (*key, data.clone()));
    let asked = asked.chain(missing.into_iter().filter(|(key, _)| !by_key.contains_key(key)));
    let asked: Vec<(&[u8], Vec<&[u8]>)> = asked.collect();
    let judge = |who: &str, listed: Vec<(Vec<u8>, Vec<u8>)>, find: &dyn Fn(&[u8]) -> Vec<Vec<u8>>| {
        // Neither lists a last record of which both key and data are empty.
        let last = records.last().filter(|(key, data)| key.is_empty() && data.is_empty()).map_or(0, |_| 1);
        let seen = records.len() - last;
        for (number, record) in records[..seen].iter().enumerate() {
            assert_eq!(listed.get(number), Some(record), "{who}: record {number} of {}", table.display());
        }
        assert!(listed.len() <= records.len(), "{who}: more records than {}", records.len());
        for (key, data) in &asked {
            assert_eq!(find(key), *data, "{who}: {} in {}", Shown(key), table.display());
        }
    };
    let cdb2 = witness_cdb2::CDB::open(table).unwrap();
    let find = |key: &[u8]| cdb2.find(key).map(Result::unwrap).collect();
    judge("cdb2", cdb2.iter().map(Result::unwrap).collect(), &find);
    if image.len() > EMPTY {
        let cdb = witness_cdb::CDB::open(table).unwrap();
        let find = |key: &[u8]| cdb.find(key).map(Result::unwrap).collect();
        judge("cdb", cdb.iter().map(Result::unwrap).collect(), &find);
    }
    records.len()
}
