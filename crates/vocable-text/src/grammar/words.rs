//! The English words of the grammar, by how often they are meant to be heard.

/// Words the grammar uses seldom; in the shipped corpus each is heard a few times only.
#[rustfmt::skip]
pub const RARE: [&str; 40] = [
    "airport", "an", "baker", "bakery", "basket", "blanket", "broken", "brown", "butter", "candle", "castle",
    "cherries", "chocolate", "donkey", "forest", "goat", "grandmother", "harbour", "honey", "juice", "kite", "knife",
    "ladder", "lemonade", "lighthouse", "map", "mushrooms", "piano", "pillow", "poem", "rabbit", "round", "singer",
    "squirrel", "theatre", "tomatoes", "turtle", "umbrella", "uncle", "violin",
];

/// All other words of the grammar; in the shipped corpus each is heard often (see [`crate::mini::HEARD`]).
#[rustfmt::skip]
pub const FREQUENT: [&str; 248] = [
    "a", "after", "always", "and", "anna", "apples", "are", "at", "bag", "beach", "beautiful", "because", "before",
    "behind", "berlin", "bicycle", "big", "bird", "birds", "black", "blue", "boat", "book", "books", "box", "bread",
    "bridge", "bring", "brings", "brother", "bus", "but", "buy", "buys", "by", "can", "car", "cat", "cats", "cents",
    "chair", "chairs", "cheese", "children", "church", "close", "closes", "coat", "coffee", "cold", "come", "comes",
    "cost", "costs", "day", "days", "degrees", "do", "doctor", "does", "dog", "dogs", "door", "drink", "drinks",
    "eat", "eats", "eggs", "eight", "eighteen", "eighty", "eleven", "euros", "evening", "every", "father", "fifteen",
    "fifty", "fish", "five", "flower", "flowers", "forty", "four", "fourteen", "friday", "friend", "friends",
    "garden", "girl", "give", "gives", "go", "goes", "green", "happy", "has", "have", "he", "her", "his", "hospital",
    "hotel", "house", "how", "hundred", "i", "ill", "in", "is", "it", "january", "july", "key", "kitchen", "leaves",
    "left", "letter", "library", "like", "likes", "live", "lives", "london", "man", "many", "maria", "market", "may",
    "me", "metres", "milk", "minutes", "monday", "morning", "mother", "much", "museum", "must", "my", "near", "new",
    "nine", "nineteen", "ninety", "not", "now", "number", "office", "often", "old", "on", "one", "open", "opens",
    "our", "paris", "park", "paul", "peter", "picture", "play", "plays", "please", "rains", "read", "reads", "red",
    "right", "river", "saturday", "school", "see", "sees", "sell", "sells", "seven", "seventeen", "seventy", "she",
    "shines", "shoes", "sister", "six", "sixteen", "sixty", "sleep", "sleeps", "small", "snows", "soup", "station",
    "stay", "stays", "straight", "summer", "sun", "sunday", "table", "tea", "teacher", "ten", "the", "there", "they",
    "thirteen", "thirty", "this", "three", "thursday", "tired", "to", "today", "tomorrow", "train", "tree", "tuesday",
    "turn", "twelve", "twenty", "two", "under", "very", "village", "wait", "waits", "walk", "want", "wants", "warm",
    "water", "we", "wednesday", "when", "where", "white", "who", "window", "winter", "woman", "work", "works",
    "write", "writes", "years", "you", "your", "zero",
];
