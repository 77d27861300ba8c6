//! Python's pickle format (protocols 0 to 5) read as data.
//!
//! A pickle is a program for a stack machine that makes objects by calling what it names. This machine calls nothing: a
//! call becomes an [`Object`] that records what would be called with what. All values live in one list and refer to each
//! other by number, so that aliases stay aliases, a cycle is nothing special, memory grows with the bytes that were read
//! and nothing is walked recursively.

use std::borrow::Cow;
use std::collections::HashMap;

/// Instructions that a pickle may have: a value of a byte takes some fifty in memory. A checkpoint has some ten for each
/// of its tensors, its optimiser's and its dictionary's words.
const MOST_INSTRUCTIONS: usize = 1 << 23;

/// A value, small enough to copy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// The node of that number.
    Node(usize),
}

/// A value with an inside.
#[derive(Debug)]
pub(crate) enum Node<'a> {
    Text(Cow<'a, str>),
    /// Bytes, and integers of more than 64 bits; nothing here looks into either.
    Bytes,
    Tuple(Vec<Value>),
    /// Also sets.
    List(Vec<Value>),
    /// Pairs in the order in which they were set; of equal keys the last counts.
    Dict(Vec<(Value, Value)>),
    /// A class or function.
    Global {
        module: Value,
        name: Value,
    },
    /// What lies outside of the pickle.
    Persistent(Value),
    Object(Box<Object>),
}

/// What a call would have made.
#[derive(Debug)]
pub(crate) struct Object {
    pub callable: Value,
    pub arguments: Value,
    /// Pairs that were set on it, as on a dictionary.
    pub items: Vec<(Value, Value)>,
}

/// A pickle that was read to its end.
#[derive(Debug)]
pub(crate) struct Pickle<'a> {
    nodes: Vec<Node<'a>>,
    pub root: Value,
    /// How many bytes it has.
    pub length: usize,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle at the beginning of some bytes.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let mut machine =
            Machine { rest: bytes, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), nodes: Vec::new() };
        for _ in 0..MOST_INSTRUCTIONS {
            let at = bytes.len() - machine.rest.len();
            match machine.step() {
                Ok(None) => {}
                Ok(Some(root)) => {
                    let length = bytes.len() - machine.rest.len();
                    return Ok(Self { nodes: machine.nodes, root, length });
                }
                Err(reason) => return Err(format!("the pickle is broken at byte {at}: {reason}")),
            }
        }
        Err(format!("the pickle has more than the {MOST_INSTRUCTIONS} instructions that are read"))
    }

    /// What it refers to outside of itself.
    pub(crate) fn persistent(&self) -> impl Iterator<Item = Value> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Persistent(id) => Some(*id),
            _ => None,
        })
    }

    pub(crate) fn node(&self, value: Value) -> Option<&Node<'a>> {
        match value {
            Value::Node(index) => self.nodes.get(index),
            _ => None,
        }
    }

    pub(crate) fn text(&self, value: Value) -> Option<&str> {
        match self.node(value)? {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a tuple or list.
    pub(crate) fn sequence(&self, value: Value) -> Option<&[Value]> {
        match self.node(value)? {
            Node::Tuple(items) | Node::List(items) => Some(items),
            _ => None,
        }
    }

    /// The pairs of a dictionary or of an object that pairs were set on, such as `collections.OrderedDict`.
    pub(crate) fn pairs(&self, value: Value) -> Option<&[(Value, Value)]> {
        match self.node(value)? {
            Node::Dict(pairs) => Some(pairs),
            Node::Object(object) => Some(&object.items),
            _ => None,
        }
    }

    /// The value of a dictionary's key.
    pub(crate) fn get(&self, dictionary: Value, key: &str) -> Option<Value> {
        let pairs = self.pairs(dictionary)?;
        pairs.iter().rev().find(|(name, _)| self.text(*name) == Some(key)).map(|(_, value)| *value)
    }

    /// The first plain value that any dictionary has under a key.
    pub(crate) fn plain(&self, key: &str) -> Option<Value> {
        let dictionaries = self.nodes.iter().filter_map(|node| match node {
            Node::Dict(pairs) => Some(pairs),
            _ => None,
        });
        let mut named =
            dictionaries.flatten().filter(|(name, _)| self.text(*name) == Some(key)).map(|(_, value)| *value);
        named.find(|value| match value {
            Value::None => false,
            Value::Node(_) => self.text(*value).is_some(),
            _ => true,
        })
    }

    /// `module.name` of a class or function.
    pub(crate) fn global(&self, value: Value) -> Option<(&str, &str)> {
        match self.node(value)? {
            Node::Global { module, name } => Some((self.text(*module)?, self.text(*name)?)),
            _ => None,
        }
    }
}

struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Value>,
    /// Heights of the stack at open marks.
    marks: Vec<usize>,
    memo: HashMap<u64, Value>,
    nodes: Vec<Node<'a>>,
}

type Step = Result<Option<Value>, Cow<'static, str>>;

impl<'a> Machine<'a> {
    /// One instruction; the root value at the last.
    fn step(&mut self) -> Step {
        match self.byte()? {
            b'.' => return self.pop().map(Some),
            0x80 => match self.byte()? {
                0..=5 => {}
                version => return Err(format!("protocol {version} is not known").into()),
            },
            // Frames only help readers of streams.
            0x95 => self.take(8).map(drop)?,

            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'K' => self.small(1)?,
            b'M' => self.small(2)?,
            b'J' => {
                let bytes = self.array()?;
                self.push(Value::Int(i32::from_le_bytes(bytes).into()));
            }
            b'G' => {
                let bytes = self.array()?;
                self.push(Value::Float(f64::from_be_bytes(bytes)));
            }
            0x8a => self.long(1)?,
            0x8b => self.long(4)?,
            b'I' => match self.line()? {
                "00" => self.push(Value::Bool(false)),
                "01" => self.push(Value::Bool(true)),
                text => self.integer(text)?,
            },
            b'L' => {
                let text = self.line()?;
                self.integer(text.trim_end_matches('L'))?;
            }
            b'F' => {
                let text = self.line()?;
                let value = text.parse().map_err(|_| format!("`{text:.40}` is not a number"))?;
                self.push(Value::Float(value));
            }

            0x8c => self.text(1)?,
            b'X' => self.text(4)?,
            0x8d => self.text(8)?,
            b'V' => {
                let text = self.line()?;
                self.make(Node::Text(Cow::Borrowed(text)));
            }
            b'U' => self.old_text(1)?,
            b'T' => self.old_text(4)?,
            b'S' => {
                let quoted = self.line()?;
                self.make(Node::Text(Cow::Borrowed(quoted.trim_matches(['\'', '"']))));
            }
            b'C' => self.bytes(1)?,
            b'B' => self.bytes(4)?,
            0x8e | 0x96 => self.bytes(8)?,

            b'(' => self.marks.push(self.stack.len()),
            b')' => self.make(Node::Tuple(Vec::new())),
            b']' | 0x8f => self.make(Node::List(Vec::new())),
            b'}' => self.make(Node::Dict(Vec::new())),
            b't' => {
                let items = self.pop_to_mark()?;
                self.make(Node::Tuple(items));
            }
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            b'l' | 0x91 => {
                let items = self.pop_to_mark()?;
                self.make(Node::List(items));
            }
            b'd' => {
                let items = self.pop_to_mark()?;
                let pairs = pairs(&items)?;
                self.make(Node::Dict(pairs));
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(vec![(key, value)])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set_items(pairs(&items)?)?;
            }

            b'0' if self.marks.last() == Some(&self.stack.len()) => drop(self.marks.pop()),
            b'0' => self.pop().map(drop)?,
            b'1' => self.pop_to_mark().map(drop)?,
            b'2' => {
                let top = self.top()?;
                self.push(top);
            }
            b'q' => self.put(1)?,
            b'r' => self.put(4)?,
            b'p' => {
                let key = self.line_number()?;
                self.remember(key)?;
            }
            0x94 => self.remember(self.memo.len() as u64)?,
            b'h' => self.fetch(1)?,
            b'j' => self.fetch(4)?,
            b'g' => {
                let key = self.line_number()?;
                self.recall(key)?;
            }

            b'c' => self.global()?,
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                self.make(Node::Global { module, name });
            }
            b'R' | 0x81 => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                self.object(callable, arguments);
            }
            // Keyword arguments.
            0x92 => {
                let (_, arguments, callable) = (self.pop()?, self.pop()?, self.pop()?);
                self.object(callable, arguments);
            }
            // A state that an object would be given; no object that matters here has one.
            b'b' => self.pop().map(drop)?,
            // Old ways to make an object: the class before its arguments, or by name.
            b'o' => {
                let items = self.pop_to_mark()?;
                let (&callable, arguments) = items.split_first().ok_or("an object without a class")?;
                self.make(Node::Tuple(arguments.to_vec()));
                let arguments = self.pop()?;
                self.object(callable, arguments);
            }
            b'i' => {
                let items = self.pop_to_mark()?;
                self.global()?;
                self.make(Node::Tuple(items));
                let (arguments, callable) = (self.pop()?, self.pop()?);
                self.object(callable, arguments);
            }
            b'Q' => {
                let id = self.pop()?;
                self.make(Node::Persistent(id));
            }
            b'P' => {
                let text = self.line()?;
                self.make(Node::Text(Cow::Borrowed(text)));
                let id = self.pop()?;
                self.make(Node::Persistent(id));
            }
            other => return Err(format!("instruction 0x{other:02x} is not known").into()),
        }
        Ok(None)
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], Cow<'static, str>> {
        let count = usize::try_from(count).ok().filter(|&count| count <= self.rest.len());
        let (taken, rest) = self.rest.split_at(count.ok_or("it ends too early")?);
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Cow<'static, str>> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Cow<'static, str>> {
        self.take(N as u64).map(|bytes| bytes.try_into().expect("as many as were taken"))
    }

    /// An unsigned number of `width` bytes.
    fn number(&mut self, width: u64) -> Result<u64, Cow<'static, str>> {
        Ok(self.take(width)?.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// As many bytes as a number of `width` bytes says.
    fn counted(&mut self, width: u64) -> Result<&'a [u8], Cow<'static, str>> {
        let count = self.number(width)?;
        self.take(count)
    }

    fn line(&mut self) -> Result<&'a str, Cow<'static, str>> {
        let length = self.rest.iter().position(|&byte| byte == b'\n').ok_or("it ends within a line")?;
        let line = self.take(length as u64 + 1)?;
        std::str::from_utf8(&line[..length])
            .map(|line| line.trim_end_matches('\r'))
            .map_err(|_| "a line is no text".into())
    }

    fn line_number(&mut self) -> Result<u64, Cow<'static, str>> {
        self.line()?.parse().map_err(|_| "a line is not a number".into())
    }

    fn push(&mut self, value: Value) {
        self.stack.push(value);
    }

    fn make(&mut self, node: Node<'a>) {
        self.nodes.push(node);
        self.push(Value::Node(self.nodes.len() - 1));
    }

    /// A class or function by two lines, its module and its name.
    fn global(&mut self) -> Result<(), Cow<'static, str>> {
        for _ in 0..2 {
            let text = self.line()?;
            self.make(Node::Text(Cow::Borrowed(text)));
        }
        let (name, module) = (self.pop()?, self.pop()?);
        self.make(Node::Global { module, name });
        Ok(())
    }

    fn object(&mut self, callable: Value, arguments: Value) {
        self.make(Node::Object(Box::new(Object { callable, arguments, items: Vec::new() })));
    }

    fn small(&mut self, width: u64) -> Result<(), Cow<'static, str>> {
        let number = self.number(width)?;
        self.push(Value::Int(number as i64));
        Ok(())
    }

    /// A little-endian integer in two's complement.
    fn long(&mut self, width: u64) -> Result<(), Cow<'static, str>> {
        let bytes = self.counted(width)?;
        if bytes.len() > 8 {
            self.make(Node::Bytes);
            return Ok(());
        }
        let fill = if bytes.last().is_some_and(|&byte| byte >= 0x80) { 0xff } else { 0 };
        let mut wide = [fill; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(wide)));
        Ok(())
    }

    fn integer(&mut self, text: &str) -> Result<(), Cow<'static, str>> {
        match text.parse() {
            Ok(number) => self.push(Value::Int(number)),
            Err(_) if !text.is_empty() && text.trim_start_matches('-').bytes().all(|c| c.is_ascii_digit()) => {
                self.make(Node::Bytes);
            }
            Err(_) => return Err(format!("`{text:.40}` is not an integer").into()),
        }
        Ok(())
    }

    fn text(&mut self, width: u64) -> Result<(), Cow<'static, str>> {
        let text = std::str::from_utf8(self.counted(width)?).map_err(|_| "a text is not UTF-8")?;
        self.make(Node::Text(Cow::Borrowed(text)));
        Ok(())
    }

    /// A Python 2 string: text or bytes.
    fn old_text(&mut self, width: u64) -> Result<(), Cow<'static, str>> {
        let text = String::from_utf8_lossy(self.counted(width)?);
        self.make(Node::Text(text));
        Ok(())
    }

    fn bytes(&mut self, width: u64) -> Result<(), Cow<'static, str>> {
        self.counted(width)?;
        self.make(Node::Bytes);
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, Cow<'static, str>> {
        let bottom = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= bottom {
            return Err("a value is missing on its stack".into());
        }
        Ok(self.stack.pop().expect("higher than the mark"))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>, Cow<'static, str>> {
        let mark = self.marks.pop().ok_or("a mark is missing on its stack")?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&mut self) -> Result<Value, Cow<'static, str>> {
        let top = self.pop()?;
        self.push(top);
        Ok(top)
    }

    fn tuple(&mut self, count: usize) -> Result<(), Cow<'static, str>> {
        let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        self.make(Node::Tuple(items));
        Ok(())
    }

    fn append(&mut self, items: Vec<Value>) -> Result<(), Cow<'static, str>> {
        match self.top()? {
            Value::Node(index) => match &mut self.nodes[index] {
                Node::List(list) => list.extend(items),
                // What becomes of it is the object's affair.
                Node::Object(_) => {}
                _ => return Err("only lists and objects are appended to".into()),
            },
            _ => return Err("only lists and objects are appended to".into()),
        }
        Ok(())
    }

    fn set_items(&mut self, pairs: Vec<(Value, Value)>) -> Result<(), Cow<'static, str>> {
        match self.top()? {
            Value::Node(index) => match &mut self.nodes[index] {
                Node::Dict(dict) => dict.extend(pairs),
                Node::Object(object) => object.items.extend(pairs),
                _ => return Err("only dictionaries and objects have items".into()),
            },
            _ => return Err("only dictionaries and objects have items".into()),
        }
        Ok(())
    }

    fn put(&mut self, width: u64) -> Result<(), Cow<'static, str>> {
        let key = self.number(width)?;
        self.remember(key)
    }

    fn remember(&mut self, key: u64) -> Result<(), Cow<'static, str>> {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn fetch(&mut self, width: u64) -> Result<(), Cow<'static, str>> {
        let key = self.number(width)?;
        self.recall(key)
    }

    fn recall(&mut self, key: u64) -> Result<(), Cow<'static, str>> {
        let value = *self.memo.get(&key).ok_or_else(|| format!("nothing was remembered as {key}"))?;
        self.push(value);
        Ok(())
    }
}

/// Keys and values by turns.
fn pairs(items: &[Value]) -> Result<Vec<(Value, Value)>, Cow<'static, str>> {
    let (pairs, rest) = items.as_chunks();
    if !rest.is_empty() {
        return Err("a key has no value".into());
    }
    Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
}
