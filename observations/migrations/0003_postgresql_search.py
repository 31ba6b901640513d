"""The search index of PostgreSQL: a table of words that triggers keep.

A row's words stand in a `tsvector` with their places, labelled by the weight of their field, and
the project among them: one project's search never visits another's rows. ASCII words are kept as
their English stems, all others as they are. Accents are dropped. Nothing here depends on the
database's locale, in which a C-like one would know no letters but ASCII.

A migration that alters or removes a watched column must remake the triggers.
"""
# ruff: noqa: S608 - every statement is made of the constants below

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

WATCHED = (
    "project_id", "title", "subtitle", "facts", "narrative", "content", "files_read",
    "files_modified", "concepts", "parts",
)  # fmt: skip

# What separates words: all of ASCII but letters and digits, and the punctuation of Unicode.
BLANKS = (
    r"[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb"
    r"\u00bf\u00d7\u00f7\u2000-\u206f\u2190-\u2bff\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020\u3030"
    r"\u30fb\ufe30-\ufe4f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]+"
)
MARKS = r"[\u0300-\u036f]+"

WORDS = (
    "CREATE TEXT SEARCH DICTIONARY claudemem_stem (TEMPLATE = snowball, Language = english)",
    "CREATE TEXT SEARCH CONFIGURATION claudemem_words (COPY = pg_catalog.simple)",
    "ALTER TEXT SEARCH CONFIGURATION claudemem_words"
    " ALTER MAPPING FOR asciiword WITH claudemem_stem",
)
# Nearly all texts are ASCII. There it does to part what PostgreSQL's parser would keep together as
# an address, a path, a number with a point, a tag or a compound; a longer list would cost more.
JOINTS = "-/._@:&<+~"
SPACES = " " * len(JOINTS)
FOLDED = f"""
CREATE FUNCTION claudemem_folded(given text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    CASE WHEN octet_length(given) = length(given) THEN translate(given, '{JOINTS}', '{SPACES}')
    ELSE regexp_replace(lower(normalize(regexp_replace(normalize(given, NFD), '{MARKS}', '', 'g'),
        NFC) COLLATE {{collation}}), '{BLANKS}', ' ', 'g') END
"""
# A tsvector holds a megabyte at most, so that of each field only the beginning is searched.
MADE = """
CREATE FUNCTION claudemem_weighed(given text, label "char", longest integer) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    setweight(to_tsvector('claudemem_words', claudemem_folded(left(given, longest))), label)
"""
# As JSON writes it, but for what a backslash begins; the rest is punctuation. In one expression, as
# all of these functions: PostgreSQL then puts them in place, where a call costs more than they do.
LINES = r"""
CREATE FUNCTION claudemem_lines(given jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    regexp_replace(given::text, '\\[\\bfnrt]', ' ', 'g')
"""
TABLE = """
CREATE TABLE observation_index (number bigint PRIMARY KEY, size integer NOT NULL,
    words tsvector NOT NULL)
"""
INDEX = """
CREATE INDEX observation_index_words ON observation_index USING gin (words)
    WITH (gin_pending_list_limit = 2048)
"""


def _row(row: str) -> str:
    """The words of the row: a memory without narrative is found by its content."""
    return f"""
        array_to_tsvector(ARRAY['p:' || {row}.project_id])
        || claudemem_weighed({row}.title, 'A', 4000)
        || claudemem_weighed(left({row}.subtitle, 4000) || E'\\n'
            || left(claudemem_lines({row}.facts), 20000) || E'\\n'
            || left(claudemem_lines({row}.files_read), 20000) || E'\\n'
            || left(claudemem_lines({row}.files_modified), 20000), 'B', 70000)
        || claudemem_weighed(left(
            CASE {row}.narrative WHEN '' THEN {row}.content ELSE {row}.narrative END, 80000)
            || E'\\n' || {row}.parts, 'C', 90000)
        || claudemem_weighed(claudemem_lines({row}.concepts), 'D', 8000)"""


KEEP = f"""
CREATE FUNCTION claudemem_keep_index() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    found tsvector;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        TRUNCATE observation_index;
        RETURN NULL;
    END IF;
    IF TG_OP = 'DELETE' THEN
        DELETE FROM observation_index WHERE number = OLD.number;
        RETURN NULL;
    END IF;
    found := {_row("NEW")};
    INSERT INTO observation_index (number, size, words) VALUES (NEW.number, length(found), found)
    ON CONFLICT (number) DO UPDATE SET size = excluded.size, words = excluded.words;
    RETURN NULL;
END $$
"""


def _values(row: str) -> str:
    return ", ".join(f"{row}.{name}" for name in WATCHED)


TRIGGERS = (
    """CREATE TRIGGER observation_indexed AFTER INSERT OR DELETE ON observations_observation
    FOR EACH ROW EXECUTE FUNCTION claudemem_keep_index()""",
    f"""CREATE TRIGGER observation_reindexed AFTER UPDATE OF {", ".join(WATCHED)}
    ON observations_observation FOR EACH ROW
    WHEN (({_values("OLD")}) IS DISTINCT FROM ({_values("NEW")}))
    EXECUTE FUNCTION claudemem_keep_index()""",
    """CREATE TRIGGER observations_emptied AFTER TRUNCATE ON observations_observation
    FOR EACH STATEMENT EXECUTE FUNCTION claudemem_keep_index()""",
)
FILL = f"""
INSERT INTO observation_index (number, size, words)
SELECT number, length(found), found
FROM (SELECT o.number, {_row("o")} AS found FROM observations_observation o) made
"""
DROP = (
    "DROP TRIGGER IF EXISTS observations_emptied ON observations_observation",
    "DROP TRIGGER IF EXISTS observation_reindexed ON observations_observation",
    "DROP TRIGGER IF EXISTS observation_indexed ON observations_observation",
    "DROP FUNCTION IF EXISTS claudemem_keep_index()",
    "DROP TABLE IF EXISTS observation_index",
    "DROP FUNCTION IF EXISTS claudemem_lines(jsonb)",
    'DROP FUNCTION IF EXISTS claudemem_weighed(text, "char", integer)',
    "DROP FUNCTION IF EXISTS claudemem_folded(text)",
    "DROP TEXT SEARCH CONFIGURATION IF EXISTS claudemem_words",
    "DROP TEXT SEARCH DICTIONARY IF EXISTS claudemem_stem",
)
# The first of these that the server has; all lower the letters of all scripts.
COLLATION = """
SELECT coalesce((SELECT quote_ident(collname) FROM pg_collation
    WHERE collname IN ('pg_c_utf8', 'und-x-icu', 'C.utf8', 'en_US.utf8')
    ORDER BY array_position(ARRAY['pg_c_utf8', 'und-x-icu', 'C.utf8', 'en_US.utf8'], collname::text)
    LIMIT 1), '"default"')
"""


def make_index(_apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """Create the table, fill it with the rows that are there, and keep it from now on."""
    if editor.connection.vendor != "postgresql":
        return
    with editor.connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(COLLATION)
        ((collation,),) = cursor.fetchall()
    folded = FOLDED.format(collation=collation)
    made = (*WORDS, folded, MADE, LINES, TABLE, FILL, INDEX, KEEP)
    for statement in (*made, *TRIGGERS):
        editor.execute(statement)


def drop_index(_apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """Take away all of it."""
    if editor.connection.vendor == "postgresql":
        for statement in DROP:
            editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("observations", "0002_search_index")]

    operations = [migrations.RunPython(make_index, drop_index)]
