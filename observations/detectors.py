"""Secrets that give themselves away by their form: tokens, URLs, headers, key blocks. ◦

A detector is searched for only where one of its anchors stands, and no pattern may go back far on
any input. Those of detect-secrets are taken where they are precise and linear; which ones are not,
and why, is in docs/decisions/0010-secret-detection.md.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from observations.literals import is_mixed, is_ordinary, is_prose, is_random, is_reference
from observations.putoff import put_off

# They would ask at the network whether a secret is one. Nobody has them do that, and a tenth of the
# time that a worker takes to start would be what they do it with.
with put_off("requests"):
    from detect_secrets.plugins.aws import AWSKeyDetector
    from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
    from detect_secrets.plugins.base import RegexBasedDetector
    from detect_secrets.plugins.github_token import GitHubTokenDetector
    from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
    from detect_secrets.plugins.mailchimp import MailchimpDetector
    from detect_secrets.plugins.pypi_token import PypiTokenDetector
    from detect_secrets.plugins.sendgrid import SendGridDetector
    from detect_secrets.plugins.slack import SlackDetector
    from detect_secrets.plugins.square_oauth import SquareOAuthDetector
    from detect_secrets.plugins.stripe import StripeDetector
    from detect_secrets.plugins.twilio import TwilioKeyDetector


def _always(_value: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Detector:
    """One form of secret: `anchors` of which one must stand in the text, a pattern, and a judge."""

    name: str
    anchors: tuple[str, ...]
    pattern: re.Pattern[str]
    group: int = 0
    is_secret: Callable[[str], bool] = _always

    def redact(self, text: str, removed: Counter[str]) -> str:
        """`text` with every secret of this form replaced by `[redacted:<name>]`, and counted."""

        def replace(match: re.Match[str]) -> str:
            if not self.is_secret(match[self.group]):
                return match[0]
            removed[self.name] += 1
            start, end = (edge - match.start() for edge in match.span(self.group))
            return f"{match[0][:start]}[redacted:{self.name}]{match[0][end:]}"

        return self.pattern.sub(replace, text)


def _token(name: str, anchors: str, pattern: str) -> Detector:
    return Detector(name, tuple(anchors.split()), re.compile(pattern))


def _borrowed(
    name: str, anchors: str, plugin: type[RegexBasedDetector], patterns: slice = slice(None)
) -> Iterable[Detector]:
    for pattern in list(plugin().denylist)[patterns]:
        # The library's patterns end where the shortest token may; nothing of a longer one may stay.
        whole = re.compile(rf"(?:{pattern.pattern})[\w-]*+", pattern.flags & ~re.VERBOSE)
        yield Detector(name, tuple(anchors.split()), whole)


_GITLAB = "glpat- gldt- glft- glsoat- glrt- glcbt- glimt- glptt- glagent- gloas-"
_START = r"(?<![A-Za-z0-9_-])"

# Anchors are looked for among the long words of a text (`long_words`), with their case.
TOKENS: tuple[Detector, ...] = (
    _token("claude-mem-key", "cmem_ cm_", rf"{_START}(?:cmem_[\w-]{{40,}}+|cm_[0-9a-f]{{40,}}+)"),
    *_borrowed("aws-access-key", "A3T ABIA ACCA AKIA ASIA", AWSKeyDetector, slice(1)),
    *_borrowed("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", GitHubTokenDetector),
    _token("github-token", "github_pat_", r"github_pat_[A-Za-z0-9_]{22,}+"),
    *_borrowed("gitlab-token", f"{_GITLAB} GR1348941", GitLabTokenDetector),
    _token("gitlab-token", _GITLAB, r"gl(?:pat|dt|ft|rt|ptt|soat|oas|agent)-[A-Za-z0-9_.-]{20,}+"),
    *_borrowed("slack-token", "xox", SlackDetector, slice(1)),
    _token("slack-token", "xox xapp-", r"(?:xox[a-z]|xapp)-[A-Za-z0-9-]{15,}+"),
    *_borrowed("stripe-key", "k_live_", StripeDetector),
    _token("stripe-key", "k_test_ k_live_", r"[rs]k_(?:test|live)_[0-9A-Za-z]{12,}+"),
    _token("stripe-key", "whsec_", r"whsec_[A-Za-z0-9+/=]{20,}+"),
    _token("anthropic-key", "sk-ant-", r"sk-ant-[A-Za-z0-9_-]{16,}+"),
    _token(
        "openai-key",
        "sk-",
        rf"{_START}sk-(?:(?:proj|svcacct|admin|or|None)-[A-Za-z0-9_-]{{20,}}+|[A-Za-z0-9]{{20,}}+)",
    ),
    _token("google-key", "AIza", r"AIza[0-9A-Za-z_-]{35}[\w-]*+"),
    _token("google-token", "ya29.", rf"{_START}ya29\.[0-9A-Za-z_-]{{20,}}+"),
    _token("google-secret", "GOCSPX-", r"GOCSPX-[0-9A-Za-z_-]{20,}+"),
    _token("huggingface-token", "hf_", rf"{_START}(?:api_org_|hf_)[A-Za-z0-9]{{30,}}+"),
    _token("npm-token", "npm_", rf"{_START}npm_[A-Za-z0-9]{{36,}}+"),
    *_borrowed("pypi-token", "pypi-AgE", PypiTokenDetector),
    _token("pypi-token", "pypi-AgE", r"pypi-AgE[A-Za-z0-9_-]{16,}+"),
    *_borrowed("sendgrid-key", "SG.", SendGridDetector),
    *_borrowed("mailchimp-key", "-us", MailchimpDetector),
    *_borrowed("square-secret", "sq0csp-", SquareOAuthDetector),
    *_borrowed("twilio-key", "SK", TwilioKeyDetector, slice(1, None)),
    _token("groq-key", "gsk_", rf"{_START}gsk_[A-Za-z0-9]{{20,}}+"),
    _token("digitalocean-token", "dop_v1_ doo_v1_ dor_v1_", r"do[opr]_v1_[a-f0-9]{64}"),
    _token("databricks-token", "dapi", rf"{_START}dapi[a-f0-9]{{32}}(?:-\d)?"),
    _token("vault-token", "hvs. hvb. hvr.", r"hv[sbr]\.[A-Za-z0-9_-]{24,}+"),
    _token("docker-token", "dckr_", r"dckr_[po]at_[A-Za-z0-9_-]{20,}+"),
    _token("grafana-token", "glsa_ glc_", r"gl(?:sa|c)_[A-Za-z0-9+/_=-]{20,}+"),
    _token("linear-key", "lin_api_", r"lin_api_[A-Za-z0-9]{30,}+"),
    _token("notion-token", "ntn_", rf"{_START}ntn_[A-Za-z0-9]{{30,}}+"),
    _token("shopify-token", "shp", r"shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}"),
    _token("atlassian-token", "ATATT3", r"ATATT3[A-Za-z0-9_=-]{50,}+"),
    _token("age-key", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[A-Z0-9]{50,}+"),
    _token(
        "jwt",
        "eyJ",
        rf"{_START}eyJ[A-Za-z0-9_-]{{5,}}+\.[A-Za-z0-9_-]{{5,}}+(?:\.[A-Za-z0-9_-]*+){{0,3}}",
    ),
)


def _is_aws_secret(value: str) -> bool:
    return is_random(value) and not (value.islower() or value.isupper())


def _is_url_password(value: str) -> bool:
    return not is_reference(value) and not re.match(r"\d{1,5}[/?#]", value)


def _is_credential(value: str) -> bool:
    """What follows an authorization scheme, if it is not the prose about one."""
    return not (is_ordinary(value) or is_prose(value))


def _is_raw_credential(value: str) -> bool:
    return _is_credential(value) and (is_random(value) or (is_mixed(value) and "." not in value))


# Whole names: a password may begin with one.
_ALGORITHM = re.compile(
    r"(?i)\W*(?:sha[-_]?(?:[123]|224|256|384|512)|md[-_]?[245]|base[-_]?(?:16|32|36|58|62|64|85)"
    r"|utf[-_]?(?:7|8|16|32)(?:le|be)?|aes[-_]?(?:128|192|256)|rsa[-_]?(?:512|1024|2048|3072|4096)"
    r"|argon2(?:id?|d)?|pbkdf2|bcrypt(?:[-_]?\d{1,2})?|latin[-_]?\d{1,2}|iso[-_]?8859[-_]\d{1,2}"
    r"|x\.?509|x25519|oauth[12]|rot[-_]?(?:13|47)|ascii85)"
    r"(?:[-_/](?:encoded|hashed|encrypted|signed|salted|hash|hex|digest|bits?|gcm|cbc|ctr|hmac|text"
    r"|sha(?:1|224|256|384|512)|224|256|384|512))*"
)
# What a sentence is about that says no password, and what it says: a number, or a program's name.
_SUBJECT = (
    r"(?:[ \t](?:min(?:imum)?|max(?:imum)?|policy|length|rules?|requirements?|strength|complexity"
    r"|expiry|expiration|rotation|lifetime|age|hash(?:ing)?|algorithm|manager))++(?![\w-])"
)
_NUMBER = (
    r"(?:1password|\d{1,4}[+-]?(?:char(?:acter)?|letter|digit|symbol|word|bit|byte|hour|day|week"
    r"|month|year)s?(?:-(?:long|min(?:imum)?|max(?:imum)?))?)"
    r"[.!?:*]*+(?=[\s\"'`,;()<>{}\[\]]|$)"
)


def _is_spoken_password(value: str) -> bool:
    """Whether it can be one by its form alone: letters and digits, and no name of an encoding."""
    return is_mixed(value) and _ALGORITHM.fullmatch(value) is None and not is_ordinary(value)


_QUOTE = r"\\{0,3}+[\"'`]?+"
_SCHEME = r"(?:basic|bearer|token|apikey|digest|negotiate|ntlm)"
_CREDENTIAL = r"[^\s\"'`\\,;(){}<>\[\]]{6,}+"

# Anchors of these are looked for in the folded text.
PHRASES: tuple[Detector, ...] = (
    Detector(
        "aws-secret-key",
        ("[redacted:aws-access-key]", "aws"),
        re.compile(
            r"(?:\[redacted:aws-access-key\]|(?i:aws[\w.-]{0,20}?(?:key|secret)))"
            r"[\s\S]{0,64}?(?<![A-Za-z0-9/+])([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])"
        ),
        1,
        _is_aws_secret,
    ),
    Detector(
        "url-password",
        ("://",),
        re.compile(
            r"://[^\s:/@?#\"'<>`\[\\]{0,128}+:"
            r"([^\s\"'<>`\\@]{1,256}+(?:@[^\s\"'<>`\\@/?#,;]{1,64})*)(?=@[\w\[{$%.-])"
        ),
        1,
        _is_url_password,
    ),
    Detector(
        "url-token",
        ("://",),
        re.compile(r"://([A-Za-z0-9_-]{20,128}+)(?=@)"),
        1,
        is_mixed,
    ),
    *_borrowed("slack-webhook", "hooks.slack.com", SlackDetector, slice(1, None)),
    *_borrowed("azure-storage-key", "accountkey=", AzureStorageKeyDetector),
    Detector(
        "azure-secret",
        ("q~",),
        re.compile(r"[A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.-]{31,}+"),
    ),
    Detector(
        "azure-sas",
        ("sig=",),
        re.compile(r"[?&;]sig=([A-Za-z0-9%+/=]{20,}+)"),
        1,
    ),
    Detector(
        "authorization",
        ("authorization",),
        re.compile(
            rf"(?i)authorization{_QUOTE}\]?[ \t]{{0,4}}(?:[:=,]|=>)[ \t]{{0,4}}{_QUOTE}"
            rf"{_SCHEME}[ \t]++({_CREDENTIAL})"
        ),
        1,
        _is_credential,
    ),
    Detector(
        "authorization",
        ("authorization",),
        re.compile(
            rf"(?i)(?<![a-z])authorization{_QUOTE}\]?[ \t]{{0,4}}(?:[:=]|=>)[ \t]{{0,4}}{_QUOTE}"
            rf"(?!{_SCHEME}[ \t])({_CREDENTIAL})(?![(\[])"
        ),
        1,
        _is_raw_credential,
    ),
    Detector(
        "bearer-token",
        ("bearer",),
        re.compile(r"(?i:bearer)[ \t]++([A-Za-z0-9._~+/=-]{8,}+)"),
        1,
        _is_raw_credential,
    ),
    Detector(
        "password",
        ("curl",),
        re.compile(
            r"(?:[ \t]-u|--user|--proxy-user)[ \t=]?[\"']?[^\s:\"']{1,64}:([^\s\"'`\\]{1,256}+)"
        ),
        1,
        _is_credential,
    ),
    Detector(
        "password",
        ("identified by", "password '", "sshpass"),
        re.compile(r"(?i:identified[ \t]+by|password|sshpass[ \t]+-p)[ \t]{0,4}'([^'\n]{1,256}+)'"),
        1,
        _is_credential,
    ),
    Detector(
        "password",
        ("machine",),
        re.compile(r"login[ \t]+\S{1,128}\s{1,8}password[ \t]+(\S{1,256}+)"),
        1,
        _is_credential,
    ),
    Detector(
        "password",
        ("passwor", "passphrase", "passcode", "mot de passe", "contrase\u00f1a", "kennwort"),
        re.compile(
            r"(?i)(?:passwor[dt]|passphrase|passcode|mot de passe|contrase\u00f1a|kennwort)\b"
            rf"(?P<other>{_SUBJECT})?+"
            r"[^\n.;:=\"'`<>]{0,40}?[ \t](?:is|was|ist|war|lautet|est|es)"
            r"(?:[ \t]{1,4}now)?(?:[ \t]{0,4}:)?[ \t]{1,4}+"
            rf"[\"'`*]{{0,3}}(?(other)(?!\*{{0,3}}{_NUMBER}))"
            r"([^\s\"'`,;()<>{}\[\]]{4,127}[^\s\"'`,;()<>{}\[\].!?:*])"
        ),
        2,
        _is_spoken_password,
    ),
    Detector(
        "password",
        ("\u5bc6\u7801", "\u5bc6\u78bc", "\u30d1\u30b9\u30ef\u30fc\u30c9"),
        re.compile(
            "(?:\u5bc6\u7801|\u5bc6\u78bc|\u30d1\u30b9\u30ef\u30fc\u30c9)"
            "(?:\u662f|\u4e3a|\u70ba|\u306f|:|\uff1a)"
            r"[ \t]{0,4}[\"'`]?([!-~]{5,128}+)"
        ),
        1,
        _is_spoken_password,
    ),
)
