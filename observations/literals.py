"""Which names call for a secret, and which values can be one: no searching, only judging. ◦"""

import re
from functools import lru_cache


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATORS = re.compile(r"[^a-z0-9]+")
_SUFFIX = re.compile(
    r"(?:_?\d++|_(?:base|value|raw|plain|plaintext|b64|base64|confirm|confirmation|repeat|again|new"
    r"|old|current|default|prod|production|dev|development|stage|staging|test|live|local))+$"
)
# `_pass` alone is a word of compilers and renderers.
_OWNERS = (
    "db|database|user|admin|root|smtp|mail|email|imap|ftp|ssh|sudo|mysql|postgres|pg|redis|mongo"
    "|rabbitmq|mqtt|rds|ldap|proxy|keystore|store|key|login|auth|http|basic|api|app|account|wifi"
    "|vpn|docker|registry|git|my|default"
)
_KEYS = (
    "api|access|account|admin|aes|app|application|auth|cipher|client|crypt|crypto|decryption"
    "|deploy|encrypt|encryption|hmac|integration|jwt|license|master|rsa|security|service"
    "|shared|signature|signing|ssh|subscription|webhook"
)
_SECRET_NAME = re.compile(
    r"(?P<password>(?:password|passwords|passwort|passwd|passphrase|passcode)$"
    rf"|(?:^|_)(?:pwd|pw)$|^pass$|(?:^|_)(?:{_OWNERS})_pass$)"
    r"|(?P<aws_secret_key>aws_.*secret.*key$)"
    r"|(?P<private_key>private_?key$)"
    r"|(?P<secret_key>secret_?key$)"
    r"|(?P<secret>secret$)"
    r"|(?P<token>token$)"
    rf"|(?P<api_key>(?:{_KEYS})_?key$)"
    r"|(?P<authorization>(?:^|_)authorization$|(?:^|_)cookie$)"
)
_HARMLESS_NAME = re.compile(
    r"(?:^|_)(?:next|prev|previous|page|paging|pagination|continuation|cancel|cancellation|sync"
    r"|resume|pad|eos|bos|unk|sep|cls|mask|stop|special|fencing|lease|lock|lookahead|public)"
    r"_(?:token|key)$"
)

# What stands where a secret would, but only says where it comes from.
_REFERENCE = re.compile(
    r"\[redacted:|\$[({]|\$(?:[A-Z_][A-Z0-9_]*|[a-z_]+)?(?:$|[/:])|%(?:[sdr]|\(\w+\)[sdr]|\w+%)$"
    r"|<[^<>]*>?$|\{[\w.!:]*\}|(?i:x){3,}$|.*(?:\.\.\.|\u2026)$|[&*!@:~|>?.\u2026\u2022-]*$|@\w+@$|op://|vault:"
    r"|arn:aws:|[^$#{%]*(?:[$#{%](?![{(])[^$#{%]*)*(?:\$\{|\{\{|#\{|%\(\w+\)s)"
)
_POINTER = re.compile(
    r"\[redacted:[a-z0-9-]+\]|\$[A-Z_]+|\$?\{{1,2}[\w .:-]*\}{1,2}|<[\w .:-]*>|[*x.\u2022]{3,}|\s*"
)
_PATH = re.compile(r"(?:[a-z][a-z0-9+.-]{1,20}://|(?:\.{1,2}|~)?/[\w.@-]+(?:/[\w.@-]*)+$)", re.I)
_ORDINARY = _words("""
    any array auto bigint bool boolean buffer byte bytes callable changed char cls date datetime
    default dict disabled double empty enabled error expired false float for func hidden inherit
    int integer interface invalid isize iterable json jsonb literal long map masked missing n/a nan
    never nil no none null number object off on optional present prompt read redacted regex required
    secretstr self set short str string super symbol text this true tuple type unchanged undefined
    unknown unset used usize uuid valid varchar void write yes
""")
_NAMING = _words("""
    a access account api app auth authentication authorization bearer client code confirm
    confirmation credential credentials csrf current db enter field for form hash header here id
    input is key keys label login must my name new of old pass passphrase passwd password
    passwords pat private provide pwd refresh repeat required reset scheme secret secrets session
    sign the this to token tokens type update use user username value x xsrf your
""")
_PROSE = _words("""
    and are argument arguments be by can cannot characters flag flags forgot forgotten from if in
    incorrect instead invalid it least missing not option options or parameter parameters please
    should than that was when will with without wrong
""")
_WORDS = re.compile(r"[^\W\d_]+|\d+")
_PUNCTUATION = ".,;:!?\"'()"
_DIGIT = re.compile(r"\d")
_LETTER = re.compile(r"[^\W\d_]")
_SECRET_WORD = re.compile(r"pass|pw|secret|token|key|auth|cred", re.I)


@lru_cache(maxsize=4096)
def secret_kind(name: str) -> str | None:
    """What a variable, field or key of this name holds, if that is a secret: `password`, `token`,
    `api-key`, …; in any of the usual spellings (`DB_PASSWORD`, `clientSecret`, `X-Api-Key`).
    """
    flat = _SEPARATORS.sub("_", _HUMP.sub("_", name).lower()).strip("_")
    flat = _SUFFIX.sub("", flat)
    found = _SECRET_NAME.search(flat)
    if not found or _HARMLESS_NAME.search(flat):
        return None
    return str(found.lastgroup).replace("_", "-")


def is_reference(value: str) -> bool:
    """Whether a value only points to a secret, masks one or is one of our placeholders."""
    return _REFERENCE.match(value) is not None


def is_pointer(value: str) -> bool:
    """Whether the whole of a value is such a reference, or blank."""
    return _POINTER.fullmatch(value) is not None


def is_ordinary(value: str) -> bool:
    """Whether a value is a reference, a type or constant, a path, or the name of a thing."""
    return (
        is_reference(value)
        or value.lower() in _ORDINARY
        or _PATH.match(value) is not None
        or names_a_thing(value)
    )


def names_a_thing(value: str) -> bool:
    """Whether a value is made of the words by which secrets are called (`your-api-key`)."""
    words = _WORDS.findall(_HUMP.sub("_", value).lower())
    return all(word in _NAMING for word in words)


def is_prose(value: str) -> bool:
    """Whether a value is a word of a sentence or a label, or holds one: not a passphrase."""
    words = [word.strip(_PUNCTUATION) for word in value.lower().split()]
    return any(word in _NAMING or word in _PROSE for word in words)


def mentions_a_secret(value: str) -> bool:
    """Whether an identifier is called after a secret, and so is a variable and not its content."""
    return _SECRET_WORD.search(value) is not None


def is_mixed(value: str) -> bool:
    """Whether letters and digits stand in it together."""
    return _DIGIT.search(value) is not None and _LETTER.search(value) is not None


def is_random(value: str) -> bool:
    """Whether a value looks drawn by lot: no name that a person gives is like that."""
    sample = value[:64]
    digits = len(_DIGIT.findall(sample))
    if len(sample) < 16 or not digits or not _LETTER.search(sample):
        return False
    both_cases = not (sample.islower() or sample.isupper())
    return both_cases or (len(sample) >= 20 and digits >= 4)
