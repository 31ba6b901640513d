"""Every setting, flat, each with its reason. The only module that reads the environment."""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from claudemem import (
    databases,
    datadir,
    daylogs,
    deployment,
    loglevels,
    schedule,
    settingsfile,
    storechoice,
    stores,
    theme,
    timezones,
)
from claudemem.environment import Environment
from observations import globs, hook_policies
from queueing import addresses, silence

env = Environment(os.environ)

# --- the data directory -------------------------------------------------------------------------
DATA_DIR = datadir.locate(env.text("CLAUDE_MEM_DATA_DIR"))
# What its settings file says holds where the environment says nothing.
_KEPT = settingsfile.read(DATA_DIR.settings)
env.beneath(_KEPT)
# Where Claude Code of this user keeps the transcripts of its sessions.
TRANSCRIPTS = Path(env.text("CLAUDE_CONFIG_DIR", os.path.expanduser("~/.claude")), "projects")

# --- where this runs ----------------------------------------------------------------------------
# Our image says so of itself: one of several containers, which share what is named to them.
DEPLOYED = env.flag("CLAUDE_MEM_DOCKER")
# Who calls from this machine needs no key where both say so: one alone may be left from a trial.
_AUTH_MODE = env.choice("CLAUDE_MEM_AUTH_MODE", "api-key", "api-key", "local-dev", "disabled")
_BYPASS = env.flag("CLAUDE_MEM_ALLOW_LOCAL_DEV_BYPASS")
# A worker with this works one team's jobs alone, in queues of their own, and no pause holds it up:
# only drills set it.
ONLY_TEAM = env.text("CLAUDE_MEM_ONLY_TEAM", check=deployment.wrong_team)
# What brings work to workers. The tables and leases are the same whichever it is.
QUEUE_ENGINE = storechoice.ENGINES[
    env.choice("CLAUDE_MEM_QUEUE_ENGINE", "celery", *storechoice.ENGINES)
]

# --- Django -------------------------------------------------------------------------------------
SECRET_KEY = env.text("CLAUDE_MEM_SECRET_KEY", check=deployment.weak_key)
DEBUG = False
# The address at which browsers and clients reach the server, where a proxy stands in front.
PUBLIC_URL = env.url("CLAUDE_MEM_PUBLIC_URL", schemes=("https", "http")).rstrip("/")
ALLOWED_HOSTS = env.words(
    "CLAUDE_MEM_ALLOWED_HOSTS", ["127.0.0.1", "localhost", "[::1]"], check=deployment.wrong_host
) + [host for host in [deployment.host(PUBLIC_URL)] if host]
# Pages of these origins may call the API. A browser sends no key by itself: a page has to know it.
CORS_ORIGINS = frozenset(
    env.words(
        "CLAUDE_MEM_CORS_ORIGINS",
        ["http://localhost:*", "http://127.0.0.1:*"],
        check=deployment.wrong_origin,
    )
)
# Forms of the admin come from there; the proxy ends TLS, so the cookies must say it themselves.
CSRF_TRUSTED_ORIGINS = [deployment.origin(PUBLIC_URL)] if PUBLIC_URL else []
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_URL.startswith("https:")
ROOT_URLCONF = "claudemem.urls"
# Where whoever signed in goes, if the address of the page did not say.
LOGIN_REDIRECT_URL = "admin:index"
WSGI_APPLICATION = "claudemem.wsgi.application"
INSTALLED_APPS = [
    # Before the admin: its templates are the theme's.
    "claudemem.apps.ThemeConfig",
    "claudemem.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "queueing",
    "observations",
]
MIDDLEWARE = [
    # First: it takes API calls past all the others, which are for browsers.
    "claudemem.api.door.Door",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
UNFOLD = theme.settings("claudemem")
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
STATIC_URL = "static/"
STATICFILES_DIRS = theme.files()
# Static files are served from the packages that bring them: no collectstatic step on a laptop.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
LANGUAGE_CODE = "en"
# Celery takes this too; anything else shows up in Flower and in worker logs.
TIME_ZONE = "UTC"
USE_TZ = True
# The admin writes times to the second, and alike everywhere.
FORMAT_MODULE_PATH = ["claudemem.formats"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# Larger bodies are refused with 413 before they are read.
MAX_BODY_BYTES = 5 * 1024 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES

# --- the network --------------------------------------------------------------------------------
# The other end of a connection that is not heard of for so long is held for gone. Shorter than a
# lease and what follows it: a lane waits no longer for a worker that the network has lost.
NETWORK_TIMEOUT_MS = env.whole("CLAUDE_MEM_NETWORK_TIMEOUT_MS", 10_000, least=4_000, most=3_600_000)

# --- the database -------------------------------------------------------------------------------
DATABASE_URL = env.text("CLAUDE_MEM_SERVER_DATABASE_URL", check=databases.wrong_url)
DATABASE_LIMITS = databases.Limits(
    pool=env.whole("CLAUDE_MEM_POSTGRES_POOL_MAX", 10, most=10_000),
    idle=env.whole("CLAUDE_MEM_POSTGRES_IDLE_TIMEOUT_MS", 30_000),
    connect=env.whole("CLAUDE_MEM_POSTGRES_CONNECTION_TIMEOUT_MS", 5_000),
    statement=env.whole("CLAUDE_MEM_POSTGRES_STATEMENT_TIMEOUT_MS", 30_000),
    silence=NETWORK_TIMEOUT_MS,
)
DATABASE_SCHEMA = env.text("CLAUDE_MEM_POSTGRES_SCHEMA", check=databases.wrong_schema)
DATABASE_SSL = env.choice("CLAUDE_MEM_POSTGRES_SSL", "", *databases.SSL_MODES)
# Seconds to wait for SQLite's lock. Clients give up after 30: they are told 503 before that.
DATABASE_TIMEOUT = env.number("CLAUDE_MEM_DATABASE_TIMEOUT", 5.0)
DATABASES = {
    "default": databases.postgresql(
        DATABASE_URL, DATABASE_LIMITS, sslmode=DATABASE_SSL, schema=DATABASE_SCHEMA
    )
    if DATABASE_URL
    else databases.sqlite(DATA_DIR.database, timeout=DATABASE_TIMEOUT)
}

# --- the queue store ----------------------------------------------------------------------------
# Each of our keys is `<prefix>:<name>`: several installations may share a server.
QUEUE_PREFIX = addresses.narrowed(
    addresses.prefix(env.text("CLAUDE_MEM_QUEUE_REDIS_PREFIX")), ONLY_TEAM
)
_ASKED = storechoice.Asked(
    mode=env.choice("CLAUDE_MEM_REDIS_MODE", "", *storechoice.MODES),
    url=env.text("CLAUDE_MEM_REDIS_URL", check=addresses.wrong),
    host=env.text("CLAUDE_MEM_REDIS_HOST", check=storechoice.wrong_host),
    port=env.whole("CLAUDE_MEM_REDIS_PORT", 6379, most=65535)
    if env.given("CLAUDE_MEM_REDIS_PORT")
    else 0,
)
env.refuse(storechoice.faults(_ASKED))
STORE_MODE = storechoice.mode(_ASKED)
# The server that a managed store runs; one is found where none is named.
STORE_BINARY = env.text("CLAUDE_MEM_REDIS_BINARY")
STORE_MEGABYTES = env.whole("CLAUDE_MEM_REDIS_MAXMEMORY_MB", 128, least=16, most=1_000_000)
# What can start, find and stop it; none under an engine that uses none.
STORE = (
    stores.make(
        STORE_MODE,
        DATA_DIR,
        url=storechoice.external_url(_ASKED),
        prefix=QUEUE_PREFIX,
        binary=STORE_BINARY,
        megabytes=STORE_MEGABYTES,
    )
    if QUEUE_ENGINE == storechoice.CELERY
    else None
)
# Empty too until one was started in this data directory.
QUEUE_STORE_URL = STORE.url if STORE else ""
QUEUE_STORE_OWNER = STORE.owner if STORE else None

# --- delivery (docs/architecture.md, "Delivery") ------------------------------------------------
LEASE_SECONDS = env.number("CLAUDE_MEM_LEASE_SECONDS", 8.0)
HEARTBEAT_SECONDS = env.number("CLAUDE_MEM_HEARTBEAT_SECONDS", 2.0)
RECONCILE_SECONDS = env.number("CLAUDE_MEM_RECONCILE_SECONDS", 1.0)
# So long a call of a provider may take; what hangs is left behind then, and tried again.
CALL_SECONDS = env.number("CLAUDE_MEM_CALL_SECONDS", 120.0)
# A worker with so many calls that hang, or with one for so long, makes room for another.
HUNG_CALLS = env.whole("CLAUDE_MEM_HUNG_CALLS", 8, most=10_000)
HUNG_SECONDS = env.number("CLAUDE_MEM_HUNG_SECONDS", 60.0)
RETRY_BASE_SECONDS = env.number("CLAUDE_MEM_RETRY_BASE_SECONDS", 5.0)
# Who is told to stop lets what is in hand end, but no longer than that. It is shorter than the ten
# seconds that `docker stop` waits: there must be time to give back what has not ended.
GRACE_SECONDS = env.number("CLAUDE_MEM_GRACE_SECONDS", 8.0)
# Nothing is asked of a provider that refuses its key for so long, then twice as long, and so on.
PAUSE_SECONDS = env.number("CLAUDE_MEM_PAUSE_SECONDS", 30.0)
# A lane gives way to others after so many jobs or seconds, whichever comes first.
QUANTUM_JOBS = 16
QUANTUM_SECONDS = 5.0
# Something is sent through each queue so often, to see whether it comes through.
CANARY_SECONDS = env.number("CLAUDE_MEM_CANARY_SECONDS", 30.0)
# A session that says nothing for so long is closed, and summarised if there is something new.
SESSION_IDLE_SECONDS = env.number("CLAUDE_MEM_SESSION_IDLE_SECONDS", 1800.0)

# --- what callers may use; 0 is without a limit (docs/how-to/limit-use.md) ------------------------
RATE_LIMIT_PER_MIN = env.whole("CLAUDE_MEM_RATE_LIMIT_PER_MIN", 0, least=0)
MONTHLY_REQUEST_CAP = env.whole("CLAUDE_MEM_MONTHLY_REQUEST_CAP", 0, least=0, most=10**15)
MONTHLY_TOKEN_CAP = env.whole("CLAUDE_MEM_MONTHLY_TOKEN_CAP", 0, least=0, most=10**15)
USAGE_METERING = env.flag("CLAUDE_MEM_USAGE_METERING")

# --- how many days things are kept; 0 is for ever (docs/how-to/keep-it-small.md) ------------------
# Observations and events are memory: nothing here prunes those.
_AN_AGE = 36_500
RETAIN_JOBS_DAYS = env.whole("CLAUDE_MEM_RETAIN_JOBS_DAYS", 30, least=0, most=_AN_AGE)
# These may be retried: somebody has to notice first.
RETAIN_FAILED_JOBS_DAYS = env.whole("CLAUDE_MEM_RETAIN_FAILED_JOBS_DAYS", 90, least=0, most=_AN_AGE)
RETAIN_AUDIT_DAYS = env.whole("CLAUDE_MEM_RETAIN_AUDIT_DAYS", 365, least=0, most=_AN_AGE)
# What was used in the current month is kept whatever this says: caps are held against it.
RETAIN_USAGE_DAYS = env.whole("CLAUDE_MEM_RETAIN_USAGE_DAYS", 400, least=0, most=_AN_AGE)
# What a session was told, so that it is not told again: none goes on after so long.
RETAIN_TELLINGS_DAYS = env.whole("CLAUDE_MEM_RETAIN_TELLINGS_DAYS", 30, least=0, most=_AN_AGE)
RETAIN_LOGS_DAYS = env.whole("CLAUDE_MEM_RETAIN_LOGS_DAYS", 30, least=0, most=_AN_AGE)
# What a queue store could not read and set aside, for whoever wants to know why.
RETAIN_SET_ASIDE_DAYS = env.whole("CLAUDE_MEM_RETAIN_SET_ASIDE_DAYS", 30, least=0, most=_AN_AGE)
RETAIN_BROKER_KEYS_DAYS = env.whole("CLAUDE_MEM_RETAIN_BROKER_KEYS_DAYS", 1, least=0, most=_AN_AGE)
KEEP = daylogs.Keep(logs=RETAIN_LOGS_DAYS, aside=RETAIN_SET_ASIDE_DAYS)
# A row says when pruning is due, so that it happens also where nothing runs for hours on end.
PRUNE_SECONDS = 3600.0

_STORE = addresses.parse(QUEUE_STORE_URL) if QUEUE_STORE_URL else None
CELERY_BROKER_URL = _STORE.broker_url if _STORE else "memory://"
CELERY_BROKER_USE_SSL = _STORE.tls if _STORE else None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": 30,
    "socket_connect_timeout": 5,
    # A connection on which nothing is to be sent is lost without a sign.
    "socket_keepalive": True,
    "socket_keepalive_options": silence.options(NETWORK_TIMEOUT_MS / 1000),
    # A half-open connection is noticed after two of these.
    "health_check_interval": 15,
    # The queues of jobs take turns, and upkeep comes before each of them.
    "queue_order_strategy": "queueing.transport:Turns",
    # One key a queue in BRPOP instead of four: no priorities are used.
    "priority_steps": [0],
    "global_keyprefix": f"{QUEUE_PREFIX}:",
    "owner": QUEUE_STORE_OWNER,
    **(_STORE.broker_options if _STORE else {}),
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A worker waits for its store for ever; by default it would exit after 100 tries.
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# Reconcile publishes what beat could not: nobody waits for a store that is away.
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1}
# Nothing reads results: the job's row has its state.
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_TRACK_STARTED = False
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
# A message is done when its job is: till then it counts as one of those that are in hand.
CELERY_TASK_ACKS_LATE = True
# Failures are written in the row; redelivering the message would add nothing.
CELERY_TASK_ACKS_ON_FAILURE = True
CELERY_TASK_ACKS_ON_TIMEOUT = True
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_POOL = "threads"
CELERY_WORKER_CONCURRENCY = env.whole("CLAUDE_MEM_WORKER_THREADS", 32, most=10_000)
# The claim makes redeliveries harmless; cancelling would throw paid provider calls away.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
# Events cost more than the task itself; Flower switches them on while it runs.
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_TASK_SEND_SENT_EVENT = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Celery's Django fixup would open a database connection a task.
CELERY_DB_REUSE_MAX = 10**9
CELERY_TASK_DEFAULT_QUEUE = "upkeep"
CELERY_TASK_QUEUES: dict[str, dict[str, str]] = {
    name: {} for name in ("event", "summary", "event-batch", "upkeep")
}
# Where nobody comes, `pulse` sends no more. An end of their time (`expires`) would be a moment by
# the clock of beat, which a worker would hold against its own.
CELERY_BEAT_SCHEDULE = schedule.of_beat(
    reconcile=RECONCILE_SECONDS, idle=SESSION_IDLE_SECONDS, only_team=bool(ONLY_TEAM)
)
# Nothing is due less often than each minute, so nothing need be remembered: no file, and so no
# directory that a container would have to bring.
CELERY_BEAT_SCHEDULER = "claudemem.pulse:Scheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = RECONCILE_SECONDS

# --- what is still well, for `GET /v1/health` and `claudemem status` ------------------------------
HEALTH_LAG_SECONDS = env.number("CLAUDE_MEM_HEALTH_LAG_SECONDS", 300.0)
HEALTH_SUCCESS_SECONDS = env.number("CLAUDE_MEM_HEALTH_SUCCESS_SECONDS", 300.0)
# Once and a half as long as it is between two canaries: each may take a while to come through.
HEALTH_CANARY_SECONDS = env.number("CLAUDE_MEM_HEALTH_CANARY_SECONDS", 1.5 * CANARY_SECONDS)
HEALTH_DEPTH = env.whole("CLAUDE_MEM_HEALTH_DEPTH", 10_000)

# --- generation ---------------------------------------------------------------------------------
# A key alone chooses nothing: that another program has one is no leave to send events there.
PROVIDER = env.text("CLAUDE_MEM_SERVER_PROVIDER", "offline").lower()
_HTTP = ("https", "http")
_OUR_BASE_URL = env.url("CLAUDE_MEM_OPENROUTER_BASE_URL", schemes=_HTTP)
_BASE_URL = env.url("OPENROUTER_BASE_URL", schemes=_HTTP)
_OUR_KEY = env.text("CLAUDE_MEM_OPENROUTER_API_KEY")
PROVIDER_OPTIONS = {
    "base_url": _OUR_BASE_URL or _BASE_URL,
    "model": env.text("CLAUDE_MEM_SERVER_MODEL"),
    "key": env.text("OPENROUTER_API_KEY") or _OUR_KEY,
}
MODE = env.text("CLAUDE_MEM_MODE", "code")
MODE_DIRECTORIES = [
    *(Path(p) for p in [env.text("CLAUDE_MEM_MODES_DIR")] if p),
    DATA_DIR.root / "modes",
]
GENERATION_DISABLED = env.flag("CLAUDE_MEM_GENERATION_DISABLED")
# Lets the command line reach the jobs of all teams at once, and programs of this machine have the
# server restart or stop.
SERVER_ADMIN = env.flag("CLAUDE_MEM_SERVER_ADMIN")
# Makes each provider call take so many milliseconds longer; only benchmarks and drills set it.
PROVIDER_DELAY_MS = env.number("CLAUDE_MEM_PROVIDER_DELAY_MS", 0.0, zero=True)

# --- the server ---------------------------------------------------------------------------------
HOST = env.text("CLAUDE_MEM_SERVER_HOST", "127.0.0.1")
# Two users of a machine must not collide; a container has its ports to itself.
PORT = env.whole(
    "CLAUDE_MEM_SERVER_PORT",
    37877 + (0 if DEPLOYED else os.getuid() if hasattr(os, "getuid") else 77) % 100,
    most=65535,
)
# The proxies in front of this server: what these say of where a call comes from is believed.
TRUSTED_PROXIES = env.words("CLAUDE_MEM_TRUSTED_PROXIES", [], check=deployment.wrong_network)
# So many calls a minute from one place with wrong keys or none; and so many failures to sign in to
# an account in a quarter of an hour. 0 is no limit.
FAILED_CALLS_PER_MIN = env.whole("CLAUDE_MEM_FAILED_CALLS_PER_MIN", 120, least=0)
FAILED_SIGN_INS = env.whole("CLAUDE_MEM_FAILED_SIGN_INS", 10, least=0)
WEB_THREADS = env.whole("CLAUDE_MEM_WEB_THREADS", 8, most=10_000)
# A request that waits for its job waits at most so long: clients give up after 30 s themselves.
WAIT_SECONDS = env.number("CLAUDE_MEM_WAIT_SECONDS", 25.0, zero=True)
# So long a web that is told to stop goes on taking requests, while /readyz says that it stops.
DRAIN_SECONDS = env.number("CLAUDE_MEM_DRAIN_SECONDS", 0.0, zero=True)
# Where a role says that it is alive, for `claudemem healthcheck`; nothing is written without it.
ALIVE_FILE = env.text("CLAUDE_MEM_ALIVE_FILE")

# --- hooks (docs/how-to/what-the-agent-is-told.md) ------------------------------------------------
# How much an agent is told, at a session's start and at its other moments; 0 is nothing.
SESSION_BUDGET_TOKENS = env.whole("CLAUDE_MEM_SESSION_BUDGET_TOKENS", 800, least=0, most=20_000)
HOOK_BUDGET_TOKENS = env.whole("CLAUDE_MEM_HOOK_BUDGET_TOKENS", 300, least=0, most=20_000)
# So long memory is looked through for a hook, for which the agent waits.
HOOK_ANSWER_SECONDS = env.number("CLAUDE_MEM_HOOK_ANSWER_SECONDS", 1.0)
HOOK_POLICIES = hook_policies.Policies(
    projects=globs.Globs(tuple(env.words("CLAUDE_MEM_EXCLUDED_PROJECTS", []))),
    paths=globs.Globs(tuple(env.words("CLAUDE_MEM_EXCLUDED_PATHS", []))),
    tools=frozenset(env.words("CLAUDE_MEM_SKIP_TOOLS", [])),
    headless=env.choice("CLAUDE_MEM_HEADLESS", "on", *hook_policies.HEADLESS),
    subagents=env.choice("CLAUDE_MEM_SUBAGENTS", "start", *hook_policies.SUBAGENTS),
)

# --- clients of claude-mem's worker (docs/how-to/clients-of-claude-mem.md) ------------------------
# Programs of this machine find the memory of this project without a key. Off by default: a key is
# what keeps other users of the machine out, and pages of the browser.
LOCAL_PROJECT = env.text("CLAUDE_MEM_LOCAL_PROJECT")
# Its hooks try to shut down a worker of another version than their own.
WORKER_VERSION = env.text("CLAUDE_MEM_WORKER_VERSION")
# Of the times in a page; Django knows only TIME_ZONE.
TIMEZONE = timezones.chosen(
    env.text("CLAUDE_MEM_TIMEZONE", check=timezones.wrong), os.environ.get("TZ", "")
)
# What a session is told at its start, and how.
_MANY = 10_000
CONTEXT_OBSERVATIONS = env.whole("CLAUDE_MEM_CONTEXT_OBSERVATIONS", 50, least=0, most=_MANY)
CONTEXT_SESSION_COUNT = env.whole("CLAUDE_MEM_CONTEXT_SESSION_COUNT", 10, least=0, most=_MANY)
CONTEXT_FULL_COUNT = env.whole("CLAUDE_MEM_CONTEXT_FULL_COUNT", 0, least=0, most=_MANY)
CONTEXT_FULL_FIELD = env.choice("CLAUDE_MEM_CONTEXT_FULL_FIELD", "narrative", "narrative", "facts")
CONTEXT_SHOW_READ_TOKENS = env.flag("CLAUDE_MEM_CONTEXT_SHOW_READ_TOKENS")
CONTEXT_SHOW_WORK_TOKENS = env.flag("CLAUDE_MEM_CONTEXT_SHOW_WORK_TOKENS")
CONTEXT_SHOW_SAVINGS_AMOUNT = env.flag("CLAUDE_MEM_CONTEXT_SHOW_SAVINGS_AMOUNT")
CONTEXT_SHOW_SAVINGS_PERCENT = env.flag("CLAUDE_MEM_CONTEXT_SHOW_SAVINGS_PERCENT", True)
CONTEXT_SHOW_LAST_SUMMARY = env.flag("CLAUDE_MEM_CONTEXT_SHOW_LAST_SUMMARY", True)
CONTEXT_SHOW_LAST_MESSAGE = env.flag("CLAUDE_MEM_CONTEXT_SHOW_LAST_MESSAGE")
WELCOME_HINT_ENABLED = env.flag("CLAUDE_MEM_WELCOME_HINT_ENABLED", True)

# --- Flower -------------------------------------------------------------------------------------
FLOWER_HOST = env.text("CLAUDE_MEM_FLOWER_HOST", "127.0.0.1")
FLOWER_PORT = env.whole("CLAUDE_MEM_FLOWER_PORT", 5555, most=65535)
FLOWER_USER = env.text("CLAUDE_MEM_FLOWER_USER", "admin")
FLOWER_PASSWORD = env.text("CLAUDE_MEM_FLOWER_PASSWORD")
FLOWER_PREFIX = env.text("CLAUDE_MEM_FLOWER_PREFIX", "flower").strip("/")
FLOWER_READ_ONLY = env.flag("CLAUDE_MEM_FLOWER_READ_ONLY", True)
# Where people's browsers find it; the admin leads from a job to its tasks where it is known.
FLOWER_URL = env.url("CLAUDE_MEM_FLOWER_URL", schemes=_HTTP).rstrip("/")

LOG_LEVEL = loglevels.understood(env.choice("CLAUDE_MEM_LOG_LEVEL", "INFO", *loglevels.WORDS))
LOGGING = loglevels.configuration(LOG_LEVEL)

# --- all faults at once -------------------------------------------------------------------------
_DEPLOYMENT = deployment.Deployment(
    contained=DEPLOYED or (not env.given("CLAUDE_MEM_DOCKER") and Path("/.dockerenv").exists()),
    deployed=DEPLOYED,
    auth_mode=_AUTH_MODE,
    bypass=_BYPASS,
    runtime=env.text("CLAUDE_MEM_RUNTIME"),
    database=env.given("CLAUDE_MEM_SERVER_DATABASE_URL"),
    store=storechoice.is_named(QUEUE_ENGINE, _ASKED),
    signing_key=env.given("CLAUDE_MEM_SECRET_KEY"),
    proxied=bool(PUBLIC_URL or TRUSTED_PROXIES),
    open_project=bool(LOCAL_PROJECT),
    open_host=not deployment.is_loopback(HOST),
)
env.refuse(deployment.faults(_DEPLOYMENT))
LOCAL_DEV = _DEPLOYMENT.local_dev
# One user's machine: whoever is let in here may read that user's files anyway.
AT_HOME = not (DATABASE_URL or _DEPLOYMENT.is_shared)
# What health and info say of it.
AUTH_MODE = "local-dev" if LOCAL_DEV else "api-key"
env.refuse(deployment.hasty_leases(LEASE_SECONDS, HEARTBEAT_SECONDS))
env.refuse(deployment.hasty_verdicts(HEALTH_CANARY_SECONDS, CANARY_SECONDS))
# On a machine that many programs share, what looks like a misspelt setting may be another's.
UNKNOWN_SETTINGS = env.strangers()
if DEPLOYED:
    env.refuse(UNKNOWN_SETTINGS)
WARNINGS = (*UNKNOWN_SETTINGS, *_KEPT.warnings, *deployment.halves(_DEPLOYMENT))
if said := env.verdict():
    raise ImproperlyConfigured(said)

# Made only once nothing stands in the way.
SECRET_KEY = SECRET_KEY or datadir.django_secret(DATA_DIR)
