//! The words of the grammar, grouped by what can be said with them. Rare words are listed again in [`super::words`].

use super::word::Gender::{F, M, N};
use super::word::{Adjective, Case, Noun, Verb, after, before, noun, plural, single, verb};

pub const NAMES: &[(&str, bool)] = &[("anna", true), ("peter", false), ("maria", true), ("paul", false)];
pub const CITIES: &[[&str; 3]] =
    &[["london", "london", "londres"], ["paris", "paris", "paris"], ["berlin", "berlin", "berlin"]];

// Nouns that patterns name one by one.
pub const DOG: Noun = noun(["dog", "dogs"], M, ["hund", "hunde"], M, ["chien", "chiens"]);
pub const CAT: Noun = noun(["cat", "cats"], F, ["katze", "katzen"], M, ["chat", "chats"]);
pub const BIRD: Noun = noun(["bird", "birds"], M, ["vogel", "vögel"], M, ["oiseau", "oiseaux"]);
pub const CHAIR: Noun = noun(["chair", "chairs"], M, ["stuhl", "stühle"], F, ["chaise", "chaises"]);
pub const FLOWER: Noun = noun(["flower", "flowers"], F, ["blume", "blumen"], F, ["fleur", "fleurs"]);
pub const BOOK: Noun = noun(["book", "books"], N, ["buch", "bücher"], M, ["livre", "livres"]);
pub const APPLES: Noun = plural("apples", "äpfel", F, "pommes");
pub const GIRL: Noun = single("girl", N, "mädchen", F, "fille");
pub const HOUSE: Noun = single("house", N, "haus", F, "maison");

/// People one has: said with a possessive.
pub const RELATIVES: &[Noun] = &[
    single("mother", F, "mutter", F, "mère"),
    single("father", M, "vater", M, "père"),
    single("brother", M, "bruder", M, "frère"),
    single("sister", F, "schwester", F, "sœur"),
    noun(["friend", "friends"], M, ["freund", "freunde"], M, ["ami", "amis"]),
    single("uncle", M, "onkel", M, "oncle"),
    single("grandmother", F, "großmutter", F, "grand-mère"),
];
/// People one speaks of: said with the definite article.
pub const PEOPLE: &[Noun] = &[
    single("teacher", M, "lehrer", M, "professeur"),
    single("doctor", M, "arzt", M, "médecin"),
    single("woman", F, "frau", F, "femme"),
    single("man", M, "mann", M, "homme"),
    GIRL,
    plural("children", "kinder", M, "enfants"),
    single("baker", M, "bäcker", M, "boulanger"),
    single("singer", M, "sänger", M, "chanteur"),
];
pub const ANIMALS: &[Noun] = &[
    DOG,
    CAT,
    BIRD,
    single("rabbit", N, "kaninchen", M, "lapin"),
    single("donkey", M, "esel", M, "âne"),
    single("squirrel", N, "eichhörnchen", M, "écureuil"),
    single("turtle", F, "schildkröte", F, "tortue"),
    single("goat", F, "ziege", F, "chèvre"),
];

pub const DRINKS: &[Noun] = &[
    single("milk", F, "milch", M, "lait"),
    single("water", N, "wasser", F, "eau"),
    single("coffee", M, "kaffee", M, "café"),
    single("tea", M, "tee", M, "thé"),
    single("lemonade", F, "limonade", F, "limonade"),
    single("juice", M, "saft", M, "jus"),
];
pub const FOODS: &[Noun] = &[
    APPLES,
    plural("eggs", "eier", M, "œufs"),
    single("bread", N, "brot", M, "pain"),
    single("cheese", M, "käse", M, "fromage"),
    single("soup", F, "suppe", F, "soupe"),
    single("fish", M, "fisch", M, "poisson"),
    plural("tomatoes", "tomaten", F, "tomates"),
    plural("mushrooms", "pilze", M, "champignons"),
    plural("cherries", "kirschen", F, "cerises"),
    single("honey", M, "honig", M, "miel"),
    single("butter", F, "butter", M, "beurre"),
    single("chocolate", F, "schokolade", M, "chocolat"),
];
pub const READABLES: &[Noun] = &[
    BOOK,
    single("letter", M, "brief", F, "lettre"),
    single("poem", N, "gedicht", M, "poème"),
    single("map", F, "karte", F, "carte"),
];
pub const WRITABLES: &[Noun] = &[
    single("book", N, "buch", M, "livre"),
    single("letter", M, "brief", F, "lettre"),
    single("poem", N, "gedicht", M, "poème"),
];
pub const OPENABLES: &[Noun] = &[
    single("door", F, "tür", F, "porte"),
    single("window", N, "fenster", F, "fenêtre"),
    single("bag", F, "tasche", M, "sac"),
    single("box", F, "kiste", F, "boîte"),
];
/// Things one buys, sees, finds, carries.
pub const THINGS: &[Noun] = &[
    single("car", N, "auto", F, "voiture"),
    CHAIR,
    FLOWER,
    plural("shoes", "schuhe", F, "chaussures"),
    single("bag", F, "tasche", M, "sac"),
    single("box", F, "kiste", F, "boîte"),
    single("coat", M, "mantel", M, "manteau"),
    single("bicycle", N, "fahrrad", M, "vélo"),
    single("picture", N, "bild", F, "image"),
    single("key", M, "schlüssel", F, "clé"),
    single("boat", N, "boot", M, "bateau"),
    single("umbrella", M, "regenschirm", M, "parapluie"),
    single("violin", F, "geige", M, "violon"),
    single("ladder", F, "leiter", F, "échelle"),
    single("knife", N, "messer", M, "couteau"),
    single("pillow", N, "kissen", M, "oreiller"),
    single("basket", M, "korb", M, "panier"),
    single("blanket", F, "decke", F, "couverture"),
    single("piano", N, "klavier", M, "piano"),
    single("candle", F, "kerze", F, "bougie"),
    single("kite", M, "drachen", M, "cerf-volant"),
];
/// Of these, what is too large to lie on a table.
pub const LARGE: [&str; 6] = ["car", "chair", "bicycle", "boat", "ladder", "piano"];
/// What things stand on, under and behind.
pub const SUPPORTS: &[Noun] = &[
    single("table", M, "tisch", F, "table"),
    single("chair", M, "stuhl", F, "chaise"),
    single("box", F, "kiste", F, "boîte"),
];
/// What is large and stays where it is.
pub const BUILDINGS: &[Noun] = &[
    HOUSE,
    single("tree", M, "baum", M, "arbre"),
    single("church", F, "kirche", F, "église"),
    single("station", M, "bahnhof", F, "gare"),
    single("school", F, "schule", F, "école"),
    single("hotel", N, "hotel", M, "hôtel"),
    single("museum", N, "museum", M, "musée"),
    single("bridge", F, "brücke", M, "pont"),
];

/// A place with the prepositions that say "at" and "to" it; the German "at" always governs the dative.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub noun: Noun,
    pub en_at: &'static str,
    pub de_at: &'static str,
    pub de_to: (&'static str, Case),
    /// French says "at" and "to" alike.
    pub fr: &'static str,
}

const fn place(
    en_at: &'static str,
    noun: Noun,
    de_at: &'static str,
    de_to: (&'static str, Case),
    fr: &'static str,
) -> Place {
    Place { noun, en_at, de_at, de_to, fr }
}
const INTO: (&str, Case) = ("in", Case::Accusative);
const ONTO: (&str, Case) = ("an", Case::Accusative);
const TOWARDS: (&str, Case) = ("zu", Case::Dative);

pub const PLACES: &[Place] = &[
    place("at", single("school", F, "schule", F, "école"), "in", TOWARDS, "à"),
    place("at", single("station", M, "bahnhof", F, "gare"), "an", TOWARDS, "à"),
    place("at", single("market", M, "markt", M, "marché"), "auf", TOWARDS, "à"),
    place("in", single("garden", M, "garten", M, "jardin"), "in", INTO, "dans"),
    place("in", single("kitchen", F, "küche", F, "cuisine"), "in", INTO, "dans"),
    place("in", single("park", M, "park", M, "parc"), "in", INTO, "à"),
    place("at", single("church", F, "kirche", F, "église"), "in", INTO, "à"),
    place("at", single("hotel", N, "hotel", M, "hôtel"), "in", TOWARDS, "à"),
    place("at", single("museum", N, "museum", M, "musée"), "in", INTO, "à"),
    place("in", single("library", F, "bibliothek", F, "bibliothèque"), "in", INTO, "à"),
    place("at", single("hospital", N, "krankenhaus", M, "hôpital"), "in", INTO, "à"),
    place("at", single("beach", M, "strand", F, "plage"), "an", ONTO, "à"),
    place("in", single("village", N, "dorf", M, "village"), "in", INTO, "à"),
    place("in", single("office", N, "büro", M, "bureau"), "in", INTO, "à"),
    place("at", single("river", M, "fluss", F, "rivière"), "an", ONTO, "à le bord de"),
    place("at", single("lighthouse", M, "leuchtturm", M, "phare"), "an", TOWARDS, "à"),
    place("at", single("castle", N, "schloss", M, "château"), "in", TOWARDS, "à"),
    place("at", single("airport", M, "flughafen", M, "aéroport"), "an", TOWARDS, "à"),
    place("in", single("forest", M, "wald", F, "forêt"), "in", INTO, "dans"),
    place("at", single("bakery", F, "bäckerei", F, "boulangerie"), "in", TOWARDS, "à"),
    place("at", single("theatre", N, "theater", M, "théâtre"), "in", INTO, "à"),
    place("at", single("harbour", M, "hafen", M, "port"), "an", TOWARDS, "à"),
];
pub const OPEN_TO_PUBLIC: &[Noun] = &[
    single("school", F, "schule", F, "école"),
    single("market", M, "markt", M, "marché"),
    single("museum", N, "museum", M, "musée"),
    single("library", F, "bibliothek", F, "bibliothèque"),
    single("park", M, "park", M, "parc"),
    single("office", N, "büro", M, "bureau"),
    single("bakery", F, "bäckerei", F, "boulangerie"),
    single("theatre", N, "theater", M, "théâtre"),
];

const WHITE: Adjective = after("white", "weiß", ["blanc", "blanche", "blancs", "blanches"]);
const BLACK: Adjective = after("black", "schwarz", ["noir", "noire", "noirs", "noires"]);
/// What animals can be.
pub const FURS: &[Adjective] = &[WHITE, BLACK];
pub const COLOURS: &[Adjective] = &[
    after("red", "rot", ["rouge", "rouge", "rouges", "rouges"]),
    after("blue", "blau", ["bleu", "bleue", "bleus", "bleues"]),
    after("green", "grün", ["vert", "verte", "verts", "vertes"]),
    WHITE,
    BLACK,
    after("brown", "braun", ["brun", "brune", "bruns", "brunes"]),
];
pub const SIZES: &[Adjective] = &[
    before("small", "klein", ["petit", "petite", "petits", "petites"], "petit"),
    before("big", "groß", ["grand", "grande", "grands", "grandes"], "grand"),
    before("old", "alt", ["vieux", "vieille", "vieux", "vieilles"], "vieil"),
    before("new", "neu", ["nouveau", "nouvelle", "nouveaux", "nouvelles"], "nouvel"),
    before("beautiful", "schön", ["beau", "belle", "beaux", "belles"], "bel"),
    after("broken", "kaputt", ["cassé", "cassée", "cassés", "cassées"]),
    after("round", "rund", ["rond", "ronde", "ronds", "rondes"]),
];
pub const MOODS: &[Adjective] = &[
    after("tired", "müde", ["fatigué", "fatiguée", "fatigués", "fatiguées"]),
    after("happy", "glücklich", ["heureux", "heureuse", "heureux", "heureuses"]),
    after("ill", "krank", ["malade", "malade", "malades", "malades"]),
];

macro_rules! verbs {
    ($($name:ident: $en:expr, $de:expr, $fr:expr;)*) => {
        $(pub const $name: Verb = verb($en, $de, $fr);)*
    };
}
verbs! {
    SEE: ["see", "sees"], ["sehe", "siehst", "sieht", "sehen"], ["vois", "vois", "voit", "voyons", "voient", "voir"];
    BUY: ["buy", "buys"], ["kaufe", "kaufst", "kauft", "kaufen"],
        ["achète", "achètes", "achète", "achetons", "achètent", "acheter"];
    SELL: ["sell", "sells"], ["verkaufe", "verkaufst", "verkauft", "verkaufen"],
        ["vends", "vends", "vend", "vendons", "vendent", "vendre"];
    READ: ["read", "reads"], ["lese", "liest", "liest", "lesen"], ["lis", "lis", "lit", "lisons", "lisent", "lire"];
    WRITE: ["write", "writes"], ["schreibe", "schreibst", "schreibt", "schreiben"],
        ["écris", "écris", "écrit", "écrivons", "écrivent", "écrire"];
    OPEN: ["open", "opens"], ["öffne", "öffnest", "öffnet", "öffnen"],
        ["ouvre", "ouvres", "ouvre", "ouvrons", "ouvrent", "ouvrir"];
    CLOSE: ["close", "closes"], ["schließe", "schließt", "schließt", "schließen"],
        ["ferme", "fermes", "ferme", "fermons", "ferment", "fermer"];
    DRINK: ["drink", "drinks"], ["trinke", "trinkst", "trinkt", "trinken"],
        ["bois", "bois", "boit", "buvons", "boivent", "boire"];
    EAT: ["eat", "eats"], ["esse", "isst", "isst", "essen"],
        ["mange", "manges", "mange", "mangeons", "mangent", "manger"];
    LIKE: ["like", "likes"], ["mag", "magst", "mag", "mögen"],
        ["aime", "aimes", "aime", "aimons", "aiment", "aimer"];
    HAVE: ["have", "has"], ["habe", "hast", "hat", "haben"], ["ai", "as", "a", "avons", "ont", "avoir"];
    BRING: ["bring", "brings"], ["bringe", "bringst", "bringt", "bringen"],
        ["apporte", "apportes", "apporte", "apportons", "apportent", "apporter"];
    GIVE: ["give", "gives"], ["gebe", "gibst", "gibt", "geben"],
        ["donne", "donnes", "donne", "donnons", "donnent", "donner"];
    LIVE: ["live", "lives"], ["wohne", "wohnst", "wohnt", "wohnen"],
        ["habite", "habites", "habite", "habitons", "habitent", "habiter"];
    WORK: ["work", "works"], ["arbeite", "arbeitest", "arbeitet", "arbeiten"],
        ["travaille", "travailles", "travaille", "travaillons", "travaillent", "travailler"];
    WAIT: ["wait", "waits"], ["warte", "wartest", "wartet", "warten"],
        ["attends", "attends", "attend", "attendons", "attendent", "attendre"];
    SLEEP: ["sleep", "sleeps"], ["schlafe", "schläfst", "schläft", "schlafen"],
        ["dors", "dors", "dort", "dormons", "dorment", "dormir"];
    PLAY: ["play", "plays"], ["spiele", "spielst", "spielt", "spielen"],
        ["joue", "joues", "joue", "jouons", "jouent", "jouer"];
    STAY: ["stay", "stays"], ["bleibe", "bleibst", "bleibt", "bleiben"],
        ["reste", "restes", "reste", "restons", "restent", "rester"];
    GO: ["go", "goes"], ["gehe", "gehst", "geht", "gehen"], ["vais", "vas", "va", "allons", "vont", "aller"];
    RIDE: ["go", "goes"], ["fahre", "fährst", "fährt", "fahren"], ["vais", "vas", "va", "allons", "vont", "aller"];
    COME: ["come", "comes"], ["komme", "kommst", "kommt", "kommen"],
        ["viens", "viens", "vient", "venons", "viennent", "venir"];
    BE: ["are", "is"], ["bin", "bist", "ist", "sind"], ["suis", "es", "est", "sommes", "sont", "être"];
    COST: ["cost", "costs"], ["koste", "kostest", "kostet", "kosten"],
        ["coûte", "coûtes", "coûte", "coûtons", "coûtent", "coûter"];
    WANT: ["want to", "wants to"], ["will", "willst", "will", "wollen"],
        ["veux", "veux", "veut", "voulons", "veulent", "vouloir"];
    CAN: ["can", "can"], ["kann", "kannst", "kann", "können"],
        ["peux", "peux", "peut", "pouvons", "peuvent", "pouvoir"];
    MUST: ["must", "must"], ["muss", "musst", "muss", "müssen"],
        ["dois", "dois", "doit", "devons", "doivent", "devoir"];
}

/// Words of the three languages that say the same, whole.
pub type Triple = [&'static str; 3];

pub const DAYS: &[Triple] = &[
    ["monday", "montag", "lundi"],
    ["tuesday", "dienstag", "mardi"],
    ["wednesday", "mittwoch", "mercredi"],
    ["thursday", "donnerstag", "jeudi"],
    ["friday", "freitag", "vendredi"],
    ["saturday", "samstag", "samedi"],
    ["sunday", "sonntag", "dimanche"],
];
pub const MONTHS: &[Triple] = &[["january", "januar", "janvier"], ["may", "mai", "mai"], ["july", "juli", "juillet"]];
pub const WARM_TIMES: &[Triple] =
    &[["in summer", "im sommer", "en été"], ["in may", "im mai", "en mai"], ["in july", "im juli", "en juillet"]];
pub const COLD_TIMES: &[Triple] = &[["in winter", "im winter", "en hiver"], ["in january", "im januar", "en janvier"]];
pub const TIMES: &[Triple] = &[
    ["today", "heute", "aujourd'hui"],
    ["every day", "jeden tag", "tous les jours"],
    ["every morning", "jeden morgen", "tous les matins"],
    ["every evening", "jeden abend", "tous les soirs"],
    ["in the morning", "am morgen", "le matin"],
    ["in the evening", "am abend", "le soir"],
    ["in summer", "im sommer", "en été"],
    ["in winter", "im winter", "en hiver"],
    ["now", "jetzt", "maintenant"],
];
pub const PLANS: &[Triple] =
    &[["tomorrow", "morgen", "demain"], ["today", "heute", "aujourd'hui"], ["this evening", "heute abend", "ce soir"]];
pub const ADVERBS: &[Triple] = &[["often", "oft", "souvent"], ["always", "immer", "toujours"]];
pub const VEHICLES: &[Triple] = &[
    ["by car", "mit dem auto", "en voiture"],
    ["by train", "mit dem zug", "en train"],
    ["by bus", "mit dem bus", "en bus"],
    ["by bicycle", "mit dem fahrrad", "à vélo"],
];
/// A kind of weather.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    pub en: &'static str,
    /// Subject, verb, and the predicate that closes the clause.
    pub de: [&'static str; 3],
    pub fr: &'static str,
    /// When it may be so; any time where this is empty.
    pub seasons: &'static [Triple],
}

const fn weather(en: &'static str, de: [&'static str; 3], fr: &'static str, seasons: &'static [Triple]) -> Weather {
    Weather { en, de, fr, seasons }
}

pub const WEATHER: &[Weather] = &[
    weather("it rains", ["es", "regnet", ""], "il pleut", &[]),
    weather("it snows", ["es", "schneit", ""], "il neige", COLD_TIMES),
    weather("it is cold", ["es", "ist", "kalt"], "il fait froid", COLD_TIMES),
    weather("it is warm", ["es", "ist", "warm"], "il fait chaud", WARM_TIMES),
    weather("the sun shines", ["die sonne", "scheint", ""], "le soleil brille", WARM_TIMES),
];
pub const SIDES: &[Triple] = &[["left", "links", "à gauche"], ["right", "rechts", "à droite"]];
pub const DURATIONS: &[Noun] = &[plural("minutes", "minuten", F, "minutes"), plural("days", "tage", M, "jours")];
/// Spatial prepositions; the German ones govern the dative here.
pub const ON_THINGS: &[Triple] = &[["on", "auf", "sur"], ["under", "unter", "sous"], ["behind", "hinter", "derrière"]];
pub const BY_BUILDINGS: &[Triple] = &[["behind", "hinter", "derrière"], ["near", "bei", "près de"]];
/// Where along a way to turn.
pub const ALONG: &[Triple] = &[["before", "vor", "avant"], ["after", "nach", "après"]];
