"""Golden lists: what must go, and what must stay. Tokens are put together so that no scanner of
this repository takes them for real ones."""

import pytest

from observations.privacy import scrub_text

pytestmark = pytest.mark.once

MIXED = "a1B2c3D4"
HEX = "0123456789abcdef"
AWS_SECRET = "wJalrXUtn" + "FEMI/K7MDENG/bPxRfiCY" + "EXAMPLEKEY"
AWS_ID = "AKIA" + "IOSFODNN7" + "EXAMPLE"
BEGIN, END = "-----BEGIN {}PRIVATE" + " KEY-----", "-----END {}PRIVATE" + " KEY-----"

# The text, and the part of it that must not survive.
TOKENS = [
    ("aws-access-key", f"AWS_ACCESS_KEY_ID={AWS_ID}", AWS_ID),
    ("aws-secret-key", f"aws_secret_access_key={AWS_SECRET}", AWS_SECRET),
    ("aws-secret-key", f"aws_secret_access_key = {AWS_SECRET}", AWS_SECRET),
    ("aws-secret-key", f"{AWS_ID},{AWS_SECRET}", AWS_SECRET),
    ("api-key", f'"SecretAccessKey": "{AWS_SECRET}"', AWS_SECRET),
    ("github-token", "ghp_" + MIXED * 5, MIXED),
    ("github-token", "github_pat_" + MIXED * 9, MIXED),
    ("github-token", "https://x:gho_" + MIXED * 5 + "@github.com", MIXED),
    ("gitlab-token", "glpat-" + MIXED * 2 + "x_-Y", MIXED),
    ("slack-token", "xoxb-123456789012-123456789012-" + MIXED * 3, MIXED),
    ("slack-webhook", "https://hooks.slack.com/services/T0000/B0000/" + MIXED * 3, MIXED),
    ("stripe-key", "sk_" + "live_" + MIXED * 3, MIXED),
    ("stripe-key", "rk_" + "test_" + MIXED * 3, MIXED),
    ("openai-key", "sk-" + MIXED * 6, MIXED),
    ("openai-key", "sk-proj-" + (MIXED + "_-") * 6, MIXED),
    ("openai-key", "sk-or-v1-" + HEX * 4, HEX),
    ("anthropic-key", "sk-ant-api03-" + (MIXED + "_-") * 9 + "AA", MIXED),
    ("google-key", "AIza" + MIXED * 4 + "xyz", MIXED),
    ("google-token", "ya29." + MIXED * 4, MIXED),
    ("azure-storage-key", "AccountName=x;AccountKey=" + MIXED * 10 + "a1B2c3==;E=x", MIXED),
    ("api-key", "Endpoint=sb://x/;SharedAccessKey=" + MIXED * 5 + "a1B=", MIXED),
    ("azure-sas", "https://a.blob.core.windows.net/x?sv=2020&sig=" + MIXED * 5 + "%3D", MIXED),
    ("azure-secret", "abc8Q~" + MIXED * 4, MIXED),
    ("huggingface-token", "hf_" + "aBcDeFgH" * 4 + "ab", "aBcDeFgH"),
    ("npm-token", "//registry.npmjs.org/:_authToken=npm_" + MIXED * 5, MIXED),
    ("token", "//registry.npmjs.org/:_authToken=00000000-1111-2222-3333-444444444444", "4444"),
    ("pypi-token", "pypi-" + "AgEIcHlwaS5vcmc" + MIXED * 10, MIXED),
    ("sendgrid-key", "SG." + MIXED * 2 + "a1B2c3." + MIXED * 5 + "a1B", MIXED),
    ("jwt", f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3In0.{MIXED * 5}", MIXED),
    ("claude-mem-key", "cmem_" + HEX * 3, HEX),
    ("claude-mem-key", "cmem_" + (MIXED + "-_") * 4 + "abc", MIXED),
    ("claude-mem-key", "cm_" + HEX * 3, HEX),
    ("age-key", "AGE-SECRET-KEY-1" + "QPZRY9X8" * 7 + "AB", "QPZRY9X8"),
]
SPOKEN = [
    ("password", "the password is hunter2", "hunter2"),
    ("password", "Password for the staging db is now: Xk9-foo!.", "Xk9"),
    ("password", "it works, the passphrase was `s3cr3t!`, so go on", "s3cr3t"),
    ("password", "Das Passwort vom Server lautet geheim99.", "geheim99"),
    ("password", "Le mot de passe est azerty12", "azerty12"),
    ("password", "la contrase\u00f1a es abc123def", "abc123def"),
    ("password", "\u5bc6\u7801\u662fhunter2", "hunter2"),
    ("password", "\u30d1\u30b9\u30ef\u30fc\u30c9\u306f hunter2", "hunter2"),
    ("password", "Passwort: hunter2", "hunter2"),
    ("password", "the password policy is 12-char but mine is hunter2", "hunter2"),
    ("password", "the password manager password is hunter2", "hunter2"),
    ("password", "the password manager is hunter2", "hunter2"),
    ("password", "the password for the policy is 12-char", "12-char"),
    ("password", "the password policy is 12-char.hunter2", "hunter2"),
    ("password", "the password hash is 5f4dcc3b5aa765d6", "5f4dcc3b"),
    ("password", "the password is x9-foo-bar", "x9-foo"),
    ("password", "the password is md5hunter2", "hunter2"),
]
HEADERS = [
    ("authorization", "Authorization: Bearer a1B2c3D4e5F6", "a1B2c3D4e5F6"),
    ("authorization", "curl -H 'Authorization: Bearer abcdefgh1234' x", "abcdefgh1234"),
    ("authorization", '"Authorization": "Basic dXNlcjpwYXNzd29yZA=="', "dXNlcjpw"),
    ("authorization", "headers={'Authorization': 'token 0123456789abcdef0123'}", HEX),
    ("authorization", "> authorization: a1B2c3D4e5F6a1B2c3D4", MIXED),
    ("bearer-token", "sends Bearer a1B2c3D4e5F6 along", "a1B2c3D4e5F6"),
    ("api-key", "X-Api-Key: abcd1234efgh", "abcd1234"),
    ("token", "PRIVATE-TOKEN: abcd1234efgh", "abcd1234"),
]
URLS = [
    ("url-password", "postgresql://app:correct-" + "horse@127.0.0.1/app", "correct"),
    ("url-password", "redis://:s3cr3t@localhost:6379/0", "s3cr3t"),
    ("url-password", "mysql+pymysql://root:p@ss!w0rd@db:3306/x", "ss!w0rd"),
    ("url-password", "https://user:12345@host/", "12345"),
    ("url-password", "amqp://u:pa/ss1@host", "ss1"),
    ("token", "https://x/?token=abcdef&x=1", "abcdef"),
]
ASSIGNMENTS = [
    ("password", text, "hunter2")
    for text in (
        "password=hunter2",
        "password: hunter2",
        "password = hunter2",
        'password = "hunter2"',
        "password='hunter2'",
        '"password": "hunter2"',
        "'password': 'hunter2'",
        '{"db": {"password":"hunter2"}}',
        '{\\"password\\": \\"hunter2\\"}',
        'password: """hunter2"""',
        'def f(password: str = "hunter2"):',
        'const char *password = "hunter2";',
        'password := "hunter2"',
        "'password' => 'hunter2',",
        "if password == 'hunter2':",
        "User(name='x', password='hunter2')",
        "Config{user=admin, password=hunter2}",
        "Login with password: hunter2 and go",
        "Server=x;Uid=sa;Pwd=hunter2;Database=y",
        "mysql --password hunter2 -u root",
        "mysql --password=hunter2 -u root",
        "mysql --password 'hunter2' -u root",
        "curl -u admin:hunter2 https://x",
        "curl --user admin:hunter2 https://x",
        "sshpass -p 'hunter2' ssh x",
        "ALTER USER x WITH PASSWORD 'hunter2';",
        "CREATE USER x IDENTIFIED BY 'hunter2';",
        "machine x login y password hunter2",
        "<password>hunter2</password>",
        "await page.fill('#password', 'hunter2')",
        "DB_PASSWORD_PROD=hunter2",
    )
] + [
    ("password", "password: 'correct horse battery staple'", "battery"),
    ("password", "password=p@ss(word", "word)"),
    ("password", "PASSWORD=p@ss;w,d", "w,d"),
    ("password", "environment:\n  POSTGRES_PASSWORD: letmein\n  X: y", "letmein"),
    ("password", "  - POSTGRES_PASSWORD=letmein", "letmein"),
    ("password", '["DB_PASSWORD=letmein"]', "letmein"),
    ("password", ".env:3:PASSWORD=letmein", "letmein"),
    ("password", "+DB_PASSWORD=letmein", "letmein"),
    ("password", "     1\tDB_PASSWORD=letmein", "letmein"),
    ("password", "docker run -e DB_PASSWORD=letmein image", "letmein"),
    ("password", "db:\n  password: letmein\n", "letmein"),
    ("password", "host=x user=y password=letmein dbname=z", "letmein"),
    ("password", "spring.datasource.password=letmein", "letmein"),
    ("password", "[client]\npassword = letme1n", "letme1n"),
    ("token", "export TOKEN=letmein", "letmein"),
    ("token", "export TOKEN='letmein'", "letmein"),
    ("token", "TOKEN=abc123 ./run", "abc123"),
    ("token", "tool --token 'abcd1234efgh' x", "abcd1234"),
    ("secret-key", "SECRET_KEY: django-insecure-abc#123", "abc#123"),
    ("secret-key", "SECRET_KEY = 'django-insecure-abc#(123'", "abc#(123"),
    ("secret-key", "SECRET_KEY=django-insecure-a(b&c", "b&c"),
    ("api-key", '"api_key": "abcd1234efgh"', "abcd1234"),
    ("api-key", "api_key: abcd1234efgh", "abcd1234"),
    ("api-key", "apiKey: 'abcd1234efgh',", "abcd1234"),
    ("api-key", "tool --api-key abcd1234efgh", "abcd1234"),
    ("api-key", "os.environ['API_KEY'] = 'abcd1234efgh'", "abcd1234"),
    ("token", "monkeypatch.setenv('API_TOKEN', 'abcd1234efgh')", "abcd1234"),
    ("secret", 'clientSecret: "abcd-efgh-ijkl"', "abcd-efgh"),
    ("secret", "client_secret=abcd-efgh-ijkl", "abcd-efgh"),
]
KEY_BLOCKS = [
    ("private-key", f"{BEGIN.format('RSA ')}\nMIIEow\nabc\n{END.format('RSA ')}", "MIIEow"),
    ("private-key", f"{BEGIN.format('OPENSSH ')}\nb3Blbn\nabc", "b3Blbn"),
    ("private-key", f'K="{BEGIN.format("")}\\nMIIEow\\n{END.format("")}\\n"', "MIIEow"),
    ("private-key", f'"{BEGIN.format("")}"\n "{"MIIEow12" * 6}"\n"{END.format("")}"', "MIIEow"),
    ("private-key", f"{BEGIN.format('EC ')} MHQCAQEEIBkg0123456789", "MHQCAQ"),
    ("private-key", "Private-Lines: 2\nAAAAgQ\nabc\nPrivate-MAC: 0a1b", "AAAAgQ"),
]
SECRETS = TOKENS + HEADERS + URLS + ASSIGNMENTS + KEY_BLOCKS

HARMLESS = r"""
password = getpass()
password = getpass.getpass("Password: ")
token = token + 1
def f(password: str)
def f(password: str, token: Optional[str] = None) -> str:
def f(password: str = "", *, token: str | None = None):
tokens: 42
max_tokens=4096
max_tokens: 4096
password=os.environ["X"]
password = os.environ.get("DB_PASSWORD")
key=lambda x: x
sorted(items, key=lambda x: x[1])
id: 0b6d3c1e-6f53-4c55-9f0e-1a8a51b7a005
commit 3f786850e387550fdab836ed7e6dc881de23001b
requests==2.34.2 --hash=sha256:33bd4ef74232fb73fe9279a257718407f169c09b78a87ad3d296f548e27de0bb
"integrity": "sha512-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/abcdefghij=="
tests/test_auth.py::test_password_is_hashed[token-secret] PASSED
HTB{t3h_FuTUr3_15_bR1ghT_1_H0p3_y0uR3_W34r1nG_5h4d35!}
FLAG{this_is_not_a_secret_1234567890}
flag: picoCTF{s0m3_fl4g_h3r3_1234}
self.password = password
self.token = token
connect(host=host, password=password, token=self.token)
connect(host=host, password=settings.DB_PASSWORD)
password: string;
password?: string
token: Token
token: SecretStr = Field(...)
api_key: str | None = None
secret: ${{ secrets.GITHUB_TOKEN }}
TOKEN=$(cat token.txt)
TOKEN="$GITHUB_TOKEN"
TOKEN=${GITHUB_TOKEN}
export PASSWORD=$1
password: "{{ vault_password }}"
password=%s
f"postgresql://{user}:{password}@{host}/{db}"
"postgresql://%s:%s@%s/%s" % (user, password, host, db)
url = f"https://x/?token={token}"
headers = {"Authorization": f"Bearer {token}"}
headers["Authorization"] = "Bearer " + token
r.headers["Authorization"] = self.build_digest_header(r.method, r.url)
Authorization: Bearer <token>
Authorization: Bearer $TOKEN
--header "Authorization: Bearer cm_..."
Bearer authentication is used
the bearer of this token
if not password: return
if password == other_password:
if token is None:
password != confirm_password
raise ValueError("password: must be at least 8 characters")
print("token: " + token)
print(f"token={token!r}")
logger.info("password=%s", password)
"token": token,
'password': password,
{"password": self.password}
<input type="password" name="password" placeholder="Enter your password">
password_field = "password"
PASSWORD_FIELD = 'password'
label = "Password:"
"password": "Password",
"password": "Enter your password",
CHALLENGE_PASSWORD: "challengePassword",
token_type: bearer
"token_type": "bearer",
token_url = "https://x/token"
secret_name: my-secret
password_hash = hash_password(password)
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
next_token = "abc123def456"
"nextPageToken": "CAUQAA1234567890"
fencing token: 17
primary_key=True
foreign_key = "user.id"
public_key: "abcdef0123456789"
cache_key = "user:123:profile"
session_key: "tool-sync-1"
keys = d.keys()
key: value
key = "abc123"
for key, value in d.items():
token = tokens[0]
token = next(tokens)
token = request.headers["X-Token"]
token = await get_token()
token := lexer.Next()
let token = localStorage.getItem('token');
const { token, secret } = config;
password => hash(password)
secrets.token_hex(32)
token = "NAME"
Token: "NUMBER"
token: u64,
token: usize
id-token: write
password: &str,
let password: String = String::new();
parser.add_argument("--password", help="the password to use")
  --password PASSWORD   the password
  --token TOKEN         the token to use
use --token to authenticate
pass the --password option
with the --username and --password options
@click.option("--password", prompt=True)
(r'%s%s' % (char, quantifier), token, '#pop:2'),
git@github.com:org/repo.git
http://localhost:8080/path@x
http://localhost:3000/@user
npm http://registry:4873/@scope/pkg
https://example.com/a:b@c
ssh://git@host:22/foo
see https://docs.python.org/3/library/secrets.html
sk-circle-fade-dot sk-cube-grid-delay-animation-x
task-runner-with-a-very-long-name-here
npm_config_registry_something_long_enough_for_it
import cm_some_module_with_a_long_name_in_it_really_long_one_x
css .token.keyword { color: #07a }
Token: '#dcdccc',
_token = r'[^\W\d]\w*'
"-----BEGIN PRIVATE KEY-----" in text
if line.startswith("-----BEGIN RSA PRIVATE KEY-----"): return True
the -----BEGIN PRIVATE KEY----- header is looked for
-----BEGIN CERTIFICATE-----
-----BEGIN PUBLIC KEY-----
ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ user@host
PWD=/home/dev/project
candidates: ['$PWD', '$HOME/.cache/plugins/[0-9]*/']
password_file: /run/secrets/db
POSTGRES_PASSWORD_FILE=/run/secrets/db_password
SSH_AUTH_SOCK=/run/ssh-abc/agent.1
data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk
session_id: 0b6d3c1e-6f53-4c55-9f0e-1a8a51b7a005
tool_use_id: toolu_01A2b3C4d5E6f7G8h9
"prompt_id": "18501c5d-3c6b-4a6e-b395-3aa3ba7abb72"
5 tokens, 3 passes, 2 secrets
assert response.json()["token"] == expected
self.assertEqual(token, "abc")
Secret: be yourself
The password: it is required
token: Annotated[str, Depends(oauth2_scheme)]
password = forms.CharField(widget=forms.PasswordInput)
password = serializers.CharField(write_only=True)
api_key = config["api_key"]
api_key=api_key,
api_key=os.getenv("OPENAI_API_KEY"),
private_key = serialization.load_pem_private_key(data, password=None)
private_key: "_EllipticCurvePrivateKey", data: bytes
secret = secrets.token_urlsafe(32)
token ||= fetch
password ||= ENV["PASSWORD"]
:password => params[:password]
password: params[:password]
password: process.env.DB_PASSWORD,
password=data.get('password')
token = match.group(1)
secret_key_ref: db
valueFrom: secretKeyRef
forward_pass = model(x)
compass: north
bypass=True
lambda token: token.type
Dict[str, Token]
{"type": "password"}
onChange={e => setPassword(e.target.value)}
the password is required
the password is base64-encoded
the password was SHA256 hashed before
the password is `utf8` text
if the password is None, ask again
the token is token2
his password was changed on 2024-05-01
Password should be latin-1
the password policy is 12-char
the password policy for the staging server is 12-character.
Password minimum length is `8-chars`, then
the password expiry was **90days**, and
the password hash algorithm is PBKDF2-SHA256
the password hashing algorithm is now: argon2id
the password manager is 1Password
the password is AES-256-GCM encrypted
value={password}
secrets: inherit
token-expiry: 3600
x-token-ttl=60
""".strip().split("\n")


@pytest.mark.parametrize(("kind", "text", "secret"), SECRETS, ids=[text for _, text, _ in SECRETS])
def test_a_secret_becomes_a_typed_placeholder(kind: str, text: str, secret: str) -> None:
    clean = scrub_text(text)
    assert secret not in clean
    assert f"[redacted:{kind}]" in clean or "[redacted:url-password]" in clean


@pytest.mark.parametrize(("kind", "text", "secret"), SECRETS, ids=[text for _, text, _ in SECRETS])
def test_a_secret_is_found_amidst_other_lines(kind: str, text: str, secret: str) -> None:
    clean = scrub_text(f"$ run it\n{text}\nx = 1\n")
    assert secret not in clean
    if kind != "private-key":
        assert clean.startswith("$ run it\n")
        assert clean.endswith("\nx = 1\n")


@pytest.mark.parametrize("line", HARMLESS)
def test_ordinary_code_stays_as_it_is(line: str) -> None:
    assert scrub_text(line) == line


def test_harmless_lines_stay_harmless_together() -> None:
    file = "\n".join(HARMLESS)
    assert scrub_text(file) == file


def test_the_user_and_the_host_of_a_url_are_kept() -> None:
    clean = scrub_text("postgresql://app:correct-" + "horse@127.0.0.1/app")
    assert clean == "postgresql://app:[redacted:url-password]@127.0.0.1/app"


def test_the_name_and_the_quotes_of_an_assignment_are_kept() -> None:
    assert scrub_text('  "password": "hunter2",') == '  "password": "[redacted:password]",'


def test_a_longer_token_than_its_detector_expects_leaves_no_rest() -> None:
    assert scrub_text("ghp_" + MIXED * 6 + ".") == "[redacted:github-token]."


def test_talk_of_key_blocks_keeps_what_follows_it() -> None:
    code = f'if text.startswith("{BEGIN.format("")}"):\n    return "pem"\n'
    assert scrub_text(code) == code
