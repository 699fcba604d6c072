use super::*;

fn matches(pattern: &str, value: &str) -> bool {
    Pattern::parse(pattern).unwrap().is_match(value)
}

#[test]
fn refuses_every_construct_by_its_name() {
    use Construct::*;
    for (pattern, construct) in [
        ("a(?=b)", Lookaround),
        ("a(?!b)", Lookaround),
        ("(?<=a)b", Lookaround),
        ("(?<!a)b", Lookaround),
        ("(?<name>a)", NamedGroup),
        ("(?i)a", GroupFlags),
        ("(?i:a)", GroupFlags),
        ("(?P<name>a)", GroupFlags),
        ("(?", GroupFlags),
        ("(a)\\1", Backreference),
        ("\\01", Backreference),
        ("\\8", Backreference),
        ("\\k<a>", Backreference),
        ("\\ba", Escape),
        ("[\\b]", Escape),
        ("\\p{L}", Escape),
        ("\\cA", Escape),
        ("\\A", Escape),
        ("\\z", Escape),
        ("\\Q", Escape),
        ("\\é", Escape),
        ("\\x4", Escape),
        ("\\xg0", Escape),
        ("\\u{41}", Escape),
        ("\\u004", Escape),
        ("a{", Brace),
        ("a{,3}", Brace),
        ("a{1,2", Brace),
        ("a{x}", Brace),
        ("a{ 1}", Brace),
        ("a}", Brace),
        ("a]", Bracket),
        ("[\\d-x]", Hyphen),
        ("[a-\\d]", Hyphen),
        ("[a-c-e]", Hyphen),
        ("[!--a]", Hyphen),
        ("[]", EmptyClass),
        ("[]a]", EmptyClass),
        ("[^\\s\\S]", EmptyClass),
        ("[b-a]", RangeOrder),
        ("a{3,2}", Count),
        ("a{1001}", Count),
        ("a{0,99999999999999999999999}", Count),
        ("*a", NothingToRepeat),
        ("a|+", NothingToRepeat),
        ("(?:*)", NothingToRepeat),
        ("a**", NothingToRepeat),
        ("a{2}{3}", NothingToRepeat),
        ("a???", NothingToRepeat),
        ("^*", NothingToRepeat),
        ("a$+", NothingToRepeat),
        ("(a", Unbalanced),
        ("a)", Unbalanced),
        ("[a", Unbalanced),
        ("[a-", Unbalanced),
        ("a\\", Unbalanced),
        ("[\\", Unbalanced),
        ("😀", BeyondBmp),
        ("[😀]", BeyondBmp),
        ("\\ud83d", BeyondBmp),
    ] {
        let found = Pattern::parse(pattern).err();
        assert_eq!(found, Some(PatternError::Unsupported(construct)), "{pattern}");
    }
}

#[test]
fn limits_hold_at_the_limit_and_not_above() {
    let at = |pattern: &str| Pattern::parse(pattern).map(drop);
    assert_eq!(at(&"a".repeat(MAX_PATTERN_BYTES)), Ok(()));
    assert_eq!(at(&"a".repeat(MAX_PATTERN_BYTES + 1)), Err(PatternError::TooLarge));
    let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(at(&nested(MAX_PATTERN_DEPTH)), Ok(()));
    assert_eq!(at(&nested(MAX_PATTERN_DEPTH + 1)), Err(PatternError::TooLarge));
    let branching = |depth: usize| format!("{}b{}", "x(a|".repeat(depth), ")y".repeat(depth));
    assert_eq!(at(&branching(MAX_PATTERN_DEPTH)), Ok(()));
    // a{1000} is 2000 steps.
    assert_eq!(Pattern::parse(&format!("a{{1000}}a{{1000}}{}", "a".repeat(96))).unwrap().steps, MAX_PATTERN_STEPS);
    assert_eq!(at(&format!("a{{1000}}a{{1000}}{}", "a".repeat(97))), Err(PatternError::TooLarge));
    assert_eq!(at("(?:a{100}){100}"), Err(PatternError::TooLarge));
    assert_eq!(at("(((a{9}){9}){9}){9}"), Err(PatternError::TooLarge));
}

#[test]
fn the_largest_patterns_fit_the_engines_limit() {
    // Steps of the kinds that cost the engine most: many ranges, splits, groups.
    let classes = "[acegikmoqsuwy]{290}";
    for pattern in [classes, "(?:a?){600}", "(?:|a|b|c){400}", "[^a]{1000}", "\\W{600}", "a{0,1000}"] {
        assert!(Pattern::parse(pattern).is_ok(), "{pattern}");
    }
}

#[test]
fn matches_code_units_as_javascript_does() {
    assert!(!matches("^.$", "😀") && matches("^..$", "😀") && matches("^[^a]{2}$", "😀"));
    assert!(matches("^[\\u0000-\\uffff]{3}$", "😀x") && !matches("[\\u0000-\\ud7ff]", "😀"));
    // Real characters of plane 16 are two code units as well.
    assert!(!matches("^.$", "\u{10d83d}") && matches("^..$", "\u{10d83d}"));
}

/// A backtracking engine takes for ever: 2^30 ways for each.
#[test]
fn no_value_makes_a_pattern_explode() {
    let value = format!("{}!", "a".repeat(1000));
    for pattern in ["^(a+)+$", "^(a|a)*$", "^(a*)*b$", "^(?:a?){100}a{100}$", "^(.*a){10}$"] {
        assert!(!matches(pattern, &value), "{pattern}");
    }
}

#[test]
fn the_engines_own_syntax_means_nothing() {
    assert!(matches("^a b#c$", "a b#c") && matches("^[[:alpha:&&~~]$", "&") && !matches("^[[:alpha:]", "z"));
    assert!(matches("<a>", "<a>") && matches("\\-\\/\\<\\_\\ ", "-/<_ "));
}
