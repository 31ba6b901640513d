"""Databases as claude-mem makes them: the newest schema, and that of its first versions."""

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

NEWEST = """
CREATE TABLE schema_versions (
    id INTEGER PRIMARY KEY, version INTEGER UNIQUE NOT NULL, applied_at TEXT NOT NULL);
CREATE TABLE sdk_sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, content_session_id TEXT NOT NULL,
    memory_session_id TEXT UNIQUE, project TEXT NOT NULL,
    platform_source TEXT NOT NULL DEFAULT 'claude', user_prompt TEXT, started_at TEXT NOT NULL,
    started_at_epoch INTEGER NOT NULL, completed_at TEXT, completed_at_epoch INTEGER,
    status TEXT NOT NULL DEFAULT 'active' CHECK(status IN ('active', 'completed', 'failed')),
    worker_port INTEGER, prompt_counter INTEGER DEFAULT 0, custom_title TEXT);
CREATE TABLE observations (
    id INTEGER PRIMARY KEY AUTOINCREMENT, memory_session_id TEXT NOT NULL, project TEXT NOT NULL,
    text TEXT, type TEXT NOT NULL, title TEXT, subtitle TEXT, facts TEXT, narrative TEXT,
    concepts TEXT, files_read TEXT, files_modified TEXT, prompt_number INTEGER,
    discovery_tokens INTEGER DEFAULT 0, created_at TEXT NOT NULL, created_at_epoch INTEGER NOT NULL,
    content_hash TEXT, generated_by_model TEXT, relevance_count INTEGER DEFAULT 0,
    merged_into_project TEXT, agent_type TEXT, agent_id TEXT, metadata TEXT, synced_at INTEGER,
    origin_device_id TEXT, origin_local_id TEXT, sync_rev TEXT NOT NULL DEFAULT '1');
CREATE TABLE session_summaries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, memory_session_id TEXT NOT NULL, project TEXT NOT NULL,
    request TEXT, investigated TEXT, learned TEXT, completed TEXT, next_steps TEXT,
    files_read TEXT, files_edited TEXT, notes TEXT, prompt_number INTEGER,
    discovery_tokens INTEGER DEFAULT 0, created_at TEXT NOT NULL, created_at_epoch INTEGER NOT NULL,
    merged_into_project TEXT, synced_at INTEGER, origin_device_id TEXT, origin_local_id TEXT,
    sync_rev TEXT NOT NULL DEFAULT '1');
CREATE TABLE user_prompts (
    id INTEGER PRIMARY KEY AUTOINCREMENT, session_db_id INTEGER, content_session_id TEXT NOT NULL,
    prompt_number INTEGER NOT NULL, prompt_text TEXT NOT NULL, created_at TEXT NOT NULL,
    created_at_epoch INTEGER NOT NULL, synced_at INTEGER, origin_device_id TEXT,
    origin_local_id TEXT, sync_rev TEXT NOT NULL DEFAULT '1');
CREATE TABLE pending_messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, session_db_id INTEGER NOT NULL,
    content_session_id TEXT NOT NULL, message_type TEXT NOT NULL, tool_name TEXT, tool_input TEXT,
    tool_response TEXT, cwd TEXT, last_user_message TEXT, last_assistant_message TEXT,
    prompt_number INTEGER, status TEXT NOT NULL DEFAULT 'pending',
    created_at_epoch INTEGER NOT NULL, agent_type TEXT, agent_id TEXT, tool_use_id TEXT);
"""
# Before summaries had prompts' numbers, and sessions today's names.
OLDEST = """
CREATE TABLE sdk_sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, claude_session_id TEXT UNIQUE NOT NULL,
    sdk_session_id TEXT UNIQUE, project TEXT NOT NULL, user_prompt TEXT, started_at TEXT NOT NULL,
    started_at_epoch INTEGER NOT NULL, completed_at TEXT, completed_at_epoch INTEGER,
    status TEXT NOT NULL DEFAULT 'active');
CREATE TABLE observations (
    id INTEGER PRIMARY KEY AUTOINCREMENT, sdk_session_id TEXT NOT NULL, project TEXT NOT NULL,
    text TEXT NOT NULL, type TEXT NOT NULL, created_at TEXT NOT NULL,
    created_at_epoch INTEGER NOT NULL);
CREATE TABLE session_summaries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, sdk_session_id TEXT UNIQUE NOT NULL,
    project TEXT NOT NULL, request TEXT, investigated TEXT, learned TEXT, completed TEXT,
    next_steps TEXT, files_read TEXT, files_edited TEXT, notes TEXT, created_at TEXT NOT NULL,
    created_at_epoch INTEGER NOT NULL);
"""
# Noon of the second of January 2026, in milliseconds as claude-mem has them.
NOON = 1_767_355_200_000
A_DAY = "2026-01-02T12:00:00.000Z"


def made(path: Path, schema: str = NEWEST) -> sqlite3.Connection:
    """A database of claude-mem's with no rows, with the log that it keeps beside it."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(schema)
    return connection


def add(connection: sqlite3.Connection, table: str, rows: Iterable[dict[str, Any]]) -> None:
    """Insert the rows; lists are kept as JSON."""
    with_text = [
        {k: json.dumps(v) if isinstance(v, list | dict) else v for k, v in row.items()}
        for row in rows
    ]
    if with_text:
        names = list(with_text[0])
        marks = ", ".join(f":{name}" for name in names)
        connection.execute("BEGIN")
        connection.executemany(
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", with_text
        )
        connection.execute("COMMIT")


def fill(connection: sqlite3.Connection, observations: int, sessions: int = 10) -> None:
    """A worked-in database: so many sessions and observations, and what belongs to them."""
    add(connection, "sdk_sessions", (session(n) for n in range(1, sessions + 1)))
    add(connection, "observations", (
        observation(n, 1 + n % sessions) for n in range(1, observations + 1)
    ))  # fmt: skip
    add(connection, "session_summaries", (summary(n) for n in range(1, sessions + 1)))
    add(connection, "user_prompts", (prompt(n) for n in range(1, sessions + 1)))
    add(connection, "pending_messages", [pending(1), pending(2)])


def session(n: int, **more: Any) -> dict[str, Any]:
    return {
        "content_session_id": f"content-{n}", "memory_session_id": f"memory-{n}",
        "project": f"project-{n % 3}", "started_at": A_DAY, "started_at_epoch": NOON + n,
        "completed_at": A_DAY, "completed_at_epoch": NOON + 3_600_000, "status": "completed",
        **more,
    }  # fmt: skip


def observation(n: int, of: int, **more: Any) -> dict[str, Any]:
    return {
        "memory_session_id": f"memory-{of}", "project": f"project-{of % 3}", "type": "bugfix",
        "title": f"Cap number {n}", "subtitle": f"Retries of widget{n} are capped",
        "facts": [f"the cap of widget{n} is {n} s"], "concepts": ["how-it-works"],
        "narrative": f"The backoff of widget{n} grew without an end; it stops at {n} seconds.",
        "files_read": [f"src/widget{n}.py"], "files_modified": ["src/retry.py"],
        "prompt_number": 1, "discovery_tokens": 100 + n, "created_at": A_DAY,
        "created_at_epoch": NOON + 1000 * n, **more,
    }  # fmt: skip


def summary(n: int) -> dict[str, Any]:
    return {
        "memory_session_id": f"memory-{n}", "project": f"project-{n % 3}",
        "request": f"Cap the retries of part {n}.", "investigated": "The backoff.",
        "learned": "It had no end.", "completed": "It has one.", "next_steps": "Document it.",
        "files_read": ["src/retry.py"], "created_at": A_DAY, "created_at_epoch": NOON + 3_600_000,
    }  # fmt: skip


def prompt(n: int, **more: Any) -> dict[str, Any]:
    return {
        "session_db_id": n, "content_session_id": f"content-{n}", "prompt_number": 1,
        "prompt_text": f"Please cap the retries of part {n}", "created_at": A_DAY,
        "created_at_epoch": NOON + n, **more,
    }  # fmt: skip


def pending(n: int, **more: Any) -> dict[str, Any]:
    return {
        "session_db_id": 1, "content_session_id": "content-1", "message_type": "observation",
        "tool_name": "Bash", "tool_input": {"command": f"ls part{n}"},
        "tool_response": {"stdout": f"part{n}.py"}, "cwd": "/home/dev/widgets",
        "last_assistant_message": None, "status": "pending", "created_at_epoch": NOON + n,
        "tool_use_id": f"toolu_{n}", **more,
    }  # fmt: skip
