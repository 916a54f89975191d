//! As much of EDN, Clojure's notation, as operations are written in.

/// A value as EDN spells it, the notation of Clojure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// `nil`: in a Jepsen history, a value that is not known.
    Nil,
    /// A whole number, as it is written.
    Whole(String),
    /// A keyword, with its colon, or a symbol: `true`, `false` among them.
    Word(String),
    /// Another number, as it is written.
    Number(String),
    /// A string in double quotes, its escapes resolved.
    Text(String),
    /// A vector, list or set.
    List(Vec<Form>),
    /// A map in braces: keys and values in the order in which they were written.
    Map(Vec<(Form, Form)>),
}

const EARLY: &str = "the line is truncated; expected a whole form";
/// How deep forms may be nested.
const DEPTH_MAX: usize = 32;

impl Form {
    /// What a map has under a keyword.
    pub fn get(&self, keyword: &str) -> Option<&Self> {
        let Self::Map(entries) = self else { return None };
        let is_meant =
            |key: &Self| matches!(key, Self::Word(word) if word.strip_prefix(':') == Some(keyword));
        entries.iter().find(|(key, _)| is_meant(key)).map(|(_, value)| value)
    }

    /// The form as JSON: keywords and symbols as texts, sets as lists.
    pub fn json(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        match self {
            Self::Nil => "null".into(),
            Self::Word(word) if word == "true" || word == "false" => word.clone(),
            Self::Whole(number) | Self::Number(number) => number.clone(),
            Self::Word(text) | Self::Text(text) => quoted(text),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::json).collect();
                format!("[{}]", items.join(","))
            }
            Self::Map(entries) => {
                let key = |form: &Self| match form {
                    Self::Word(text) | Self::Text(text) => quoted(text),
                    other => quoted(&other.json()),
                };
                let entries: Vec<String> =
                    entries.iter().map(|(name, value)| format!("{}:{}", key(name), value.json())).collect();
                format!("{{{}}}", entries.join(","))
            }
        }
    }
}

/// Parses one form, which takes the whole text.
pub fn parse(text: &str) -> Result<Form, String> {
    let mut parser = Parser { text, at: 0 };
    let form = parser.form(0)?;
    parser.space();
    if parser.at < text.len() {
        return Err(format!("column {}: expected the end of the line", parser.at + 1));
    }
    Ok(form)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn space(&mut self) {
        while let Some(character) =
            self.peek().filter(|character| character.is_whitespace() || *character == ',')
        {
            self.at += character.len_utf8();
        }
        if self.peek() == Some(';') {
            self.at = self.text.len();
        }
    }

    fn form(&mut self, depth: usize) -> Result<Form, String> {
        if depth > DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX}"));
        }
        self.space();
        let rest = &self.text[self.at..];
        match rest.chars().next() {
            None => Err(EARLY.into()),
            Some('"') => self.string(),
            Some('[') => self.all(1, ']', depth).map(Form::List),
            Some('(') => self.all(1, ')', depth).map(Form::List),
            Some('#') if rest.starts_with("#{") => self.all(2, '}', depth).map(Form::List),
            Some('#') => {
                // A tag, such as #jepsen.history.Op: what it tags is what counts.
                self.at += 1;
                self.word();
                self.form(depth + 1)
            }
            Some('{') => {
                let forms = self.all(1, '}', depth)?;
                if forms.len() % 2 == 1 {
                    return Err("a map with a key and no value".into());
                }
                let mut forms = forms.into_iter();
                let mut entries = Vec::new();
                while let (Some(key), Some(value)) = (forms.next(), forms.next()) {
                    entries.push((key, value));
                }
                Ok(Form::Map(entries))
            }
            Some(']' | ')' | '}') => Err(format!("column {}: a bracket that nothing opened", self.at + 1)),
            Some(_) => Ok(atom(self.word())),
        }
    }

    /// The forms up to a closing bracket.
    fn all(&mut self, opening: usize, closing: char, depth: usize) -> Result<Vec<Form>, String> {
        self.at += opening;
        let mut forms = Vec::new();
        loop {
            self.space();
            match self.peek() {
                None => return Err(EARLY.into()),
                Some(character) if character == closing => {
                    self.at += 1;
                    return Ok(forms);
                }
                Some(_) => forms.push(self.form(depth + 1)?),
            }
        }
    }

    fn string(&mut self) -> Result<Form, String> {
        let rest = &self.text.as_bytes()[self.at + 1..];
        let mut length = 0;
        loop {
            match rest.get(length) {
                None => return Err(EARLY.into()),
                Some(b'\\') => length += 2,
                Some(b'"') => break,
                Some(_) => length += 1,
            }
        }
        let json = self.text.get(self.at..self.at + length + 2).unwrap_or_default();
        let text = serde_json::from_str(json).map_err(|_| format!("column {}: not a text", self.at + 1))?;
        self.at += length + 2;
        Ok(Form::Text(text))
    }

    /// Up to what ends a word.
    fn word(&mut self) -> &str {
        let rest = &self.text[self.at..];
        let ends = |character: char| character.is_whitespace() || ",()[]{}\";".contains(character);
        let length = rest.find(ends).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }
}

fn atom(word: &str) -> Form {
    let digits = word.strip_suffix('N').unwrap_or(word);
    let is_whole = |text: &str| {
        let digits = text.strip_prefix('-').unwrap_or(text);
        !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && (digits.len() == 1 || !digits.starts_with('0'))
    };
    match word {
        "nil" => Form::Nil,
        _ if is_whole(digits) => Form::Whole(digits.to_owned()),
        _ if word.starts_with(|first: char| first.is_ascii_digit() || first == '-')
            && serde_json::from_str::<serde_json::Number>(word).is_ok() =>
        {
            Form::Number(word.to_owned())
        }
        _ => Form::Word(word.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_become_json() {
        for (edn, json) in [
            ("nil", "null"),
            ("[1 -2, 3N]", "[1,-2,3]"),
            ("#{1 \"a\\n\"}", "[1,\"a\\n\"]"),
            ("{:a 1.5 \"b\" true}", "{\":a\":1.5,\"b\":true}"),
            ("(:x y) ; more", "[\":x\",\"y\"]"),
            ("#tag{:a nil}", "{\":a\":null}"),
            ("007", "\"007\""),
        ] {
            assert_eq!(parse(edn).map(|form| form.json()), Ok(json.to_owned()), "{edn}");
        }
        for edn in ["", "[1", "{:a}", "\"a", "]", "1 2", &"[".repeat(50)] {
            assert!(parse(edn).is_err(), "{edn}");
        }
    }
}
