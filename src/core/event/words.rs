//! The words that an event is found by: runs of letters and digits in lower case.

/// Longer words are cut off, in characters.
const MAX_LENGTH: usize = 64;
/// Words of one event.
const MAX_WORDS: usize = 500;
/// Twice as many slots as there are words, and a power of two.
const SLOTS: usize = 1024;

/// Distinct words in the order in which they came; what comes after the first 500 is left out.
pub struct Words {
    text: String,
    /// Where each word ends in `text`.
    ends: Vec<usize>,
    /// A hash table: the number of a word, from 1; 0 for none.
    slots: Box<[u16; SLOTS]>,
}

impl Default for Words {
    fn default() -> Self {
        Self { text: String::new(), ends: Vec::new(), slots: Box::new([0; SLOTS]) }
    }
}

/// Where the first character is that belongs to words, or does not; the text's end where there is none. Most texts are ASCII, of
/// which a byte tells.
fn boundary(text: &str, is_in_word: bool) -> usize {
    for (at, byte) in text.bytes().enumerate() {
        if !byte.is_ascii() {
            let rest = &text[at..]; // all before are characters of one byte
            return at + rest.find(|c: char| c.is_alphanumeric() == is_in_word).unwrap_or(rest.len());
        }
        if byte.is_ascii_alphanumeric() == is_in_word {
            return at;
        }
    }
    text.len()
}

impl Words {
    /// Forgets all.
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.slots.fill(0);
    }

    /// Adds the words of a text.
    pub fn add(&mut self, text: &str) {
        let mut rest = text;
        while self.ends.len() < MAX_WORDS {
            let start = boundary(rest, true);
            if start == rest.len() {
                return;
            }
            let word = &rest[start..];
            let (word, after) = word.split_at(boundary(word, false));
            rest = after;
            self.put(word);
        }
    }

    /// Adds the words of a JSON text, as jsonb prints it: what stands escaped in its strings (line ends, tabs, quotes) is no part
    /// of a word.
    pub fn add_json(&mut self, text: &str) {
        let mut parts = text.split('\\');
        self.add(parts.next().unwrap_or_default());
        while let Some(part) = parts.next() {
            match part.bytes().next() {
                // An escaped backslash: what comes behind it stands for itself.
                None => self.add(parts.next().unwrap_or_default()),
                Some(b'u') => self.add(part.get(5..).unwrap_or_default()),
                // Of any other, the one character.
                Some(_) => self.add(part.get(1..).unwrap_or_default()),
            }
        }
    }

    fn put(&mut self, word: &str) {
        let start = self.text.len();
        if word.is_ascii() {
            self.text.push_str(&word[..word.len().min(MAX_LENGTH)]);
            self.text[start..].make_ascii_lowercase();
        } else {
            // The sigma that ends a word is the same letter.
            let lower = word.chars().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c });
            self.text.extend(lower.take(MAX_LENGTH));
        }
        let new = &self.text[start..];
        // FNV-1a; whoever finds words that fall together gets one slow insertion of 500 words.
        let hash = new
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let mut slot = usize::try_from((hash ^ (hash >> 32)) % SLOTS as u64).unwrap_or(0);
        while let Some(known) = self.slots[slot].checked_sub(1) {
            if self.get(known.into()) == new {
                self.text.truncate(start);
                return;
            }
            slot = (slot + 1) % SLOTS;
        }
        self.ends.push(self.text.len());
        // At most MAX_WORDS.
        self.slots[slot] = u16::try_from(self.ends.len()).unwrap_or(0);
    }

    fn get(&self, number: usize) -> &str {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[number]]
    }

    /// The words.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        (0..self.ends.len()).map(|number| self.get(number))
    }
}
