//! Which partition a key belongs to.
//!
//! The relay has to know the partition of a record before it sends it, because the record names its
//! predecessor there. So the rule of Kafka's own clients (murmur2 of the key, the partitioner
//! `murmur2_random`) is computed here, and whoever produces with a stock client lands in the same place.

/// The partition of a key among `partitions`, as Kafka's default partitioner chooses it.
pub(crate) fn partition_of(key: &[u8], partitions: u16) -> u16 {
    // The Java client makes the hash positive by dropping its sign.
    let positive = murmur2(key) & 0x7fff_ffff;
    u16::try_from(positive % u32::from(partitions)).expect("a remainder is smaller than the u16 it was divided by")
}

/// `MurmurHash2`, 32 bits, with the seed of Kafka's `Utils.murmur2`.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(data.len()).expect("a key is far shorter than 4 GiB");
    let mut hash = SEED ^ length;
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    if !tail.is_empty() {
        let last = tail.iter().rev().fold(0, |last, byte| last << 8 | u32::from(*byte));
        hash = (hash ^ last).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_gives_what_kafkas_own_tests_expect() {
        // From the tests of the Java client (signed there) and of librdkafka.
        let vectors: [(&str, u32); 10] = [
            ("kafka", 0xd067_cf64),
            ("giberish123456789", 0x8f55_2b0c),
            ("1234", 0x9fc9_7b14),
            ("234", 0xe7c0_09ca),
            ("34", 0x8739_30da),
            ("4", 0x5a4b_5ca1),
            ("PreAmbleWillBeRemoved,ThePrePartThatIs", 0x7842_4f1c),
            ("", 0x106e_08d9),
            ("foobar", (-790_332_482_i32).cast_unsigned()),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", (-58_897_971_i32).cast_unsigned()),
        ];
        for (key, hash) in vectors {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key:?}");
        }
    }

    #[test]
    fn every_partition_gets_its_share_of_keys() {
        let mut counts = [0_u32; 6];
        for n in 0..6_000 {
            counts[usize::from(partition_of(format!("key-{n}").as_bytes(), 6))] += 1;
        }
        assert!(counts.iter().all(|&count| (800..1_200).contains(&count)), "{counts:?}");
    }
}
